"""Run folders as a training writes them, without one."""

from __future__ import annotations

import json
import math
import struct
import wave
from pathlib import Path
from typing import Any

from PIL import Image

SETTINGS: dict[str, Any] = {
    "name": "toy",
    "seed": 0,
    "networks": {"gen": {"type": "edsr", "width": 32}},
    "steps": {"gen": {"optimizer": {"type": "adamw", "lr": 0.001}}},
    "train": {"iterations": 100, "precision": "fp32"},
    "evaluate": {"held": {"data": "val", "every": 20}},
    "checkpoint": {"keep_best": {"metric": "held/psnr", "mode": "max"}},
}
ENVIRONMENT = {"artschool": "0.1.0", "torch": "2.13.0", "device": "NVIDIA H100", "processes": 2, "cuda": None}


def record(iteration: int, pace: float = 0.5, /, **more: Any) -> dict[str, Any]:
    """A record of the log, with an evaluation after every 20 iterations."""
    loss = 2 * math.exp(-iteration / 40) + 0.2 * math.sin(iteration * 1.7)
    found = {"iteration": iteration, "samples": 4 * (iteration + 1), "seconds": round(pace * (iteration + 1), 3)}
    found |= {"gen/l1": loss, "gen/lr": 0.001, "gen/skipped": 0}
    if iteration % 20 == 19:
        found |= {"held/psnr": 20 + 5 * math.sin(iteration / 40)}
    return found | more


def add_lines(path: Path, *objects: Any) -> None:
    """Append JSON lines to a file."""
    with path.open("a") as file:
        file.writelines(f"{json.dumps(each)}\n" for each in objects)


def start(iteration: int = 0, total: int = 100, **settings: Any) -> dict[str, Any]:
    """A line of `starts.jsonl`."""
    time = f"2026-05-0{1 + bool(iteration)}T10:00:00+00:00"
    own = {"time": time, "iteration": iteration, "iterations": total, "environment": ENVIRONMENT}
    return own | {"settings": SETTINGS | settings}


def save(folder: Path, iteration: int, total: int = 100) -> None:
    """A checkpoint, of which a page reads only what it says of itself."""
    checkpoint = folder / "checkpoints" / f"{iteration:08}"
    checkpoint.mkdir(parents=True)
    state = {"iteration": iteration, "iterations": total, "pending": False, "settings": SETTINGS}
    (checkpoint / "state.json").write_text(json.dumps(state))


def incident(folder: Path, kind: str, iteration: int, error: str) -> None:
    """An incident."""
    path = folder / "incidents" / f"{iteration:08}-{kind}"
    path.mkdir(parents=True)
    what = {
        "kind": kind,
        "iteration": iteration,
        "step": "gen",
        "error": error,
        "traceback": ["Traceback\n", f"{error}\n"],
    }
    (path / "incident.json").write_text(json.dumps(what | {"bad_values": ["data.train: 'lq' contains NaN"]}))


def make_run(folder: Path, iterations: int = 100, total: int = 100, pace: float = 0.5, **settings: Any) -> Path:
    """A run that has saved its last iteration, with images and sounds."""
    folder.mkdir(parents=True)
    (folder / "run.json").write_text(
        json.dumps({"file": "toy.yml", "folder": ".", "run": str(folder), "overrides": ["seed=0"]})
    )
    (folder / "config.yml").write_text("name: toy  # as given\n")
    add_lines(folder / "starts.jsonl", start(0, total, **settings))
    add_lines(folder / "metrics.jsonl", *(record(iteration, pace) for iteration in range(iterations)))
    for name in ("graph", "plan"):
        (folder / f"{name}.svg").write_text(
            '<svg xmlns="http://www.w3.org/2000/svg" width="80" height="40"><rect width="80" height="40"/></svg>'
        )
    for at in range(20, iterations + 1, 20):
        image = folder / "pictures" / "sr" / f"{at:08}.png"
        image.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (24, 16), (2 * at % 256, 90, 160)).save(image)
    if iterations >= 20:
        _sound(folder / "audio" / "held" / "drawn" / f"{iterations:08}.wav")
    if iterations:
        save(folder, iterations, total)
    return folder


def _sound(path: Path) -> None:
    path.parent.mkdir(parents=True)
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(8000)
        file.writeframes(b"".join(struct.pack("<h", int(9000 * math.sin(at / 3))) for at in range(2000)))
