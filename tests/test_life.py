"""The life of a model: from `new` over `train` to `sample` or `apply`, and to folders that stand alone and come back.

The processes that use a run start after the folder of data is gone.
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor

import artschool
from artschool.export.called import CalledNetwork
from artschool.export.inference.with_torch import difference, named

FORMATS = ("safetensors", "pt", "pt2", "onnx")
SHORT = (
    "train.iterations=4",
    "train.device=cpu",
    "train.precision=fp32",
    "data.train.workers=0",
    "log.every=2",
    "checkpoint.every=4",
)


@dataclass(frozen=True)
class Life:
    """What is done with a template.

    Attributes:
        network: The network to export.
        data: The kind of files to train on.
        settings: Overrides, with which training is short and moves the outputs of the network.
        use: The command that uses the run, and its arguments.
        results: The files that it writes.
        evaluations: The names of its evaluations.
    """

    network: str
    data: str
    settings: Sequence[str]
    use: Sequence[str]
    results: Sequence[str]
    evaluations: Sequence[str] = ("held_out",)


LIVES = {
    "super_resolution": Life(
        "gen",
        "images",
        ("networks.gen.width=8", "networks.gen.blocks=1", "data.train.data.size=32", "steps.critic.after=1"),
        ("apply", "runs/mine", "new.png", "--tile", "48", "-o", "large"),
        ("large/new.png",),
        ("photos",),
    ),
    "diffusion": Life(
        "unet",
        "classes",
        (
            "networks.unet.width=8",
            "networks.unet.blocks=1",
            "steps.unet.optimizer.lr=1e-2",
            "steps.unet.schedule.warmup=0",
        ),
        ("sample", "runs/mine", "drawn", "label=1", "-n", "2", "-o", "drawn"),
        ("drawn/drawn.png", "drawn/drawn/00000.png", "drawn/drawn/00001.png"),
        ("drawn", "held_out"),
    ),
    "vq": Life(
        "vq",
        "images",
        ("networks.vq.width=8", "networks.vq.blocks=1", "networks.vq.num_codes=16", "networks.vq.code_dim=8"),
        ("apply", "runs/mine", "new.png", "-o", "restored"),
        ("restored/new.png",),
    ),
    "speech": Life(
        "gen",
        "recordings",
        ("networks.gen.width=16", "networks.critic.width=4", "steps.critic.after=1"),
        ("apply", "runs/mine", "new.wav", "-o", "spoken"),
        ("spoken/new.wav",),
    ),
}
HIDDEN = ("artschool", "click", "diffusers", "pydantic", "rich", "safetensors", "skimage", "yaml")
ALONE = f"""
import runpy, sys
sys.modules.update(dict.fromkeys({HIDDEN!r}))  # To import one of them is an error.
runpy.run_path("inference.py", run_name="__main__")
"""


def make_data(kind: str, folder: Path) -> None:
    """Cuts of photographs, in two folders if there are classes, or tones. One of them is beside the folder, too."""
    import skimage.data
    import soundfile
    from PIL import Image

    for index in range(10):
        target = folder / ("ab"[index % 2] if kind == "classes" else "")
        target.mkdir(parents=True, exist_ok=True)
        if kind == "recordings":
            time = np.arange(10_000) / 8000
            wave = 0.4 * np.sin(2 * np.pi * (200 + 50 * index) * time)
            soundfile.write(target / f"{index}.wav", wave, 8000)
        else:
            side = 16 if kind == "classes" else 64
            corner = 20 * index
            image = skimage.data.astronaut()[corner : corner + side, corner : corner + side]  # type: ignore[no-untyped-call]
            Image.fromarray(image).save(target / f"{index}.png")
    if kind != "classes":
        ending = ".wav" if kind == "recordings" else ".png"
        shutil.copy(folder / f"0{ending}", folder.parent / f"new{ending}")


COMMANDS = """
import sys
from artschool.cli.main import cli
for line in sys.argv[1:]:
    cli(line.split(), standalone_mode=False)
"""


def in_a_process(folder: Path, *lines: str) -> str:
    """Run commands in a new process, and return all that they print."""
    result = subprocess.run(
        [sys.executable, "-c", COMMANDS, *lines], cwd=folder, capture_output=True, text=True, check=False
    )
    assert result.returncode == 0, result.stdout + result.stderr
    return result.stdout + result.stderr


def trained(life: Life, template: str, folder: Path) -> list[str]:
    """Make the run `runs/mine`, and delete its data. Returns the overrides of its file."""
    make_data(life.data, folder / "data")
    settings = [*SHORT, *life.settings, *(f"evaluate.{name}.every=4" for name in life.evaluations)]
    train = f"train mine/train.yml --no-trace {' '.join(settings)}"
    in_a_process(folder, f"new {template} mine --data data", train)
    shutil.rmtree(folder / "data")
    return settings


def stands_alone(folder: Path) -> None:
    """Run the program of an exported folder in another place, in a process that cannot import artschool."""
    moved = folder.rename(folder.with_name(f"{folder.name}-moved"))
    result = subprocess.run(
        [sys.executable, "-I", "-W", "ignore", "-c", ALONE], cwd=moved, capture_output=True, text=True, check=False
    )
    assert result.returncode == 0, result.stdout + result.stderr
    assert float(result.stdout.rpartition(" ")[2]) < 1e-4
    moved.rename(folder)


def comes_back(life: Life, folder: Path, weights: str, exported: Path, settings: Sequence[str]) -> None:
    """Load weights into a new run, which computes what an exported folder says."""
    example, name = read_example(exported), life.network
    expected = {key: value for key, value in example.items() if not key.startswith("inputs.")}
    assert float(expected[min(expected)].abs().max()) > 1e-2  # Zeros are easily alike.
    run = artschool.load(folder / "mine/train.yml", [*settings, f"networks.{name}.weights={weights}"])
    called = CalledNetwork(run.networks[name].eval(), artschool.open(folder / "runs/mine", device="cpu").calls[name])
    with torch.no_grad():
        found = called(*(example[f"inputs.{each.name}"] for each in called.inputs))
    assert difference(dict(named(found)), expected) < 1e-4


def read_example(folder: Path) -> dict[str, Tensor]:
    """The inputs and outputs at export."""
    if (folder / "example.npz").exists():
        return {name: torch.as_tensor(array) for name, array in np.load(folder / "example.npz").items()}
    return load_file(folder / "example.safetensors")


def lives_on(template: str, folder: Path, formats: Sequence[str]) -> None:
    """Train, use and export a template."""
    life = LIVES[template]
    settings = trained(life, template, folder)
    exports = [f"export runs/mine {life.network} --to {kind} -o {kind}" for kind in formats]
    printed = in_a_process(folder, " ".join(life.use), *exports)
    assert f"by {life.network}" in printed and "after 4 iterations" in printed
    results = [path for path in (folder / life.use[-1]).rglob("*") if path.is_file()]
    assert sorted(str(path.relative_to(folder)) for path in results) == sorted(life.results)
    found = re.findall(r"largest difference from artschool, .*: (\S+)", printed)
    assert len(found) == len(formats) and all(float(each) < 1e-4 for each in found)
    sizes = re.findall(r"dynamic sizes: (.*)", printed)
    assert all(line.count("(") == line.count("(N") for line in sizes)  # Every input has the size of the batch.
    for kind in formats:
        stands_alone(folder / kind)
    make_data(life.data, folder / "data")  # Of a new run.
    for kind in formats:
        file = json.loads((folder / kind / "config.json").read_text())["weights"]
        comes_back(life, folder, str(folder / kind / file), folder / kind, settings)
    average = "the moving average" in printed
    source = f"{{run: {folder / 'runs/mine'}, network: {life.network}{'.ema' if average else ''}}}"
    comes_back(life, folder, source, folder / formats[0], settings)


@pytest.mark.soak
@pytest.mark.parametrize("template", LIVES)
def test_a_template_lives_on_without_its_data(template: str, tmp_path: Path, registries: None) -> None:
    """Starts ten processes that import torch for each template, and traces networks as programs."""
    lives_on(template, tmp_path, FORMATS)
