"""A toy GAN with everything that a resume can lose: two optimizers, EMA, dropout, batch norm, augmentation, gating."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import Any, TypedDict

import torch
import torch.nn.functional as F
from torch import Tensor, nn

import artschool
from artschool.config.compose import apply_overrides, finish
from artschool.config.source import read_text
from artschool.engine.logger import Record
from artschool.engine.run import Run
from artschool.engine.run_state import RunState
from artschool.engine.whole_state import fingerprint
from artschool.registry import datasets, networks

__all__ = ["fingerprint"]

TEXT = """
name: toy
seed: 7
plugins: [PLUGIN]
data:
  train: {type: run_pairs, length: 40, batch_size: 8}
  val: {type: run_pairs, length: 7, batch_size: 4}
networks:
  gen: {type: run_generator}
  critic: {type: run_critic}
steps:
  gen:
    trains: gen
    optimizer: {type: adamw, lr: 2e-3, betas: [0.9, 0.99], weight_decay: 0.01}
    schedule: {type: multi_step, milestones: [12], gamma: 0.5, warmup: 4}
    clip_grad_norm: 1.0
    injectors: {up: {type: forward, network: gen, in: lq, out: sr}}
    losses:
      pixel: {type: l1, in: [sr, hq], weight: 1.0}
      adversarial: {type: generator_gan, kind: hinge, network: critic, fake: sr, weight: 0.1, after: 6}
  critic:
    trains: critic
    after: 4
    every: 2
    optimizer: {type: sgd, lr: 1e-2, momentum: 0.9}
    losses: {gan: {type: discriminator_gan, kind: hinge, network: critic, fake: sr, real: hq, weight: 1.0}}
train: {iterations: 20, device: cpu}
ema: {decay: 0.9, networks: [gen]}
evaluate:
  held_out:
    data: val
    every: 10
    injectors: {up: {type: forward, network: gen, in: lq, out: sr}}
    metrics: {psnr: {type: psnr, in: [sr, hq]}}
log: {every: 3}
checkpoint: {every: 5, keep_last: 2}
"""


class Pair(TypedDict):
    """A sample."""

    lq: Tensor
    hq: Tensor
    name: str


@datasets.register("run_pairs")
class Pairs:
    """Pictures by index, with noise that is drawn anew for each epoch."""

    def __init__(self, length: int = 8, size: int = 8, fail_at: int | None = None) -> None:
        generator = torch.Generator().manual_seed(length)
        self._pictures = torch.rand(length, 3, size, size, generator=generator)
        self._fail_at = fail_at

    def __len__(self) -> int:
        return len(self._pictures)

    def __getitem__(self, index: int) -> Pair:
        if index == self._fail_at:
            raise OSError("cannot decode")
        hq = (self._pictures[index] + 0.1 * torch.rand(3, 1, 1)).clamp(0, 1)
        return {"lq": F.avg_pool2d(hq, 2), "hq": hq, "name": f"picture {index}"}


@networks.register("run_generator")
def run_generator(width: int = 8, dropout: float = 0.1) -> nn.Module:
    """(B, 3, H, W) to (B, 3, 2H, 2W)."""
    return nn.Sequential(
        nn.Conv2d(3, width, 3, padding=1),
        nn.BatchNorm2d(width),
        nn.SiLU(),
        nn.Dropout(dropout),
        nn.Conv2d(width, 12, 3, padding=1),
        nn.PixelShuffle(2),
    )


@networks.register("toy_plain_generator")
def plain_generator(width: int = 8) -> nn.Module:
    """(B, 3, H, W) to (B, 3, 2H, 2W), without anything that looks at the whole batch or draws."""
    return nn.Sequential(
        nn.Conv2d(3, width, 3, padding=1), nn.SiLU(), nn.Conv2d(width, 12, 3, padding=1), nn.PixelShuffle(2)
    )


@networks.register("run_critic")
def run_critic(width: int = 8) -> nn.Module:
    """(B, 3, H, W) to logits (B, 1, H/2, W/2)."""
    return nn.Sequential(
        nn.Conv2d(3, width, 3, 2, 1), nn.GroupNorm(2, width), nn.LeakyReLU(0.2), nn.Conv2d(width, 1, 3, padding=1)
    )


def write(folder: Path, *overrides: str, text: str = TEXT) -> Path:
    """Write the file, overrides applied, so that a test reads as what it changes."""
    from artschool.config.write import dump

    file = folder / "toy.yml"
    tree = apply_overrides(read_text(text.replace("PLUGIN", str(Path(__file__).resolve())), "toy.yml"), overrides)
    file.write_text(dump(finish(tree, file).plain()))
    return file


def load(folder: Path, *overrides: str, text: str = TEXT, **options: Any) -> Run:
    """The run of the file, in `folder`/run."""
    return artschool.load(write(folder, *overrides, text=text), run_dir=folder / "run", **options)


class Recorder:
    """A logger that keeps what it is told."""

    def __init__(self) -> None:
        self.records: list[dict[str, float]] = []
        self.notes: list[str] = []
        self.updates: list[dict[str, int]] = []
        self.pictures: list[tuple[str, int, tuple[int, ...]]] = []

    def start(self, run: RunState) -> None:
        """Keep how many updates each step that has an optimizer has made."""
        self.advance(run)

    def advance(self, run: RunState) -> None:
        """Keep the same after each iteration."""
        self.updates.append({step.graph.name: step.update.count for step in run.steps if step.update is not None})

    def log(self, record: Record) -> None:
        """Keep."""
        self.records.append(dict(record))

    def picture(self, key: str, iteration: int, values: Tensor) -> None:
        """Keep key, iteration and shape."""
        self.pictures.append((key, iteration, tuple(values.shape)))

    def note(self, message: str) -> None:
        """Keep."""
        self.notes.append(message)

    def close(self) -> None:
        """Nothing."""

    def values(self, name: str) -> list[float]:
        """One number over time."""
        return [record[name] for record in self.records if name in record]


class StopAfter(Recorder):
    """Sends a signal to this process after an iteration."""

    def __init__(self, iteration: int, number: int = signal.SIGTERM) -> None:
        super().__init__()
        self._iteration, self._number = iteration, number

    def advance(self, run: RunState) -> None:
        if run.iteration == self._iteration:
            os.kill(os.getpid(), self._number)


def recorded(run: Run) -> Recorder:
    """Let a run speak to a recorder only."""
    recorder = Recorder()
    run.loggers = [recorder]
    return recorder


def snapshot(folder: Path) -> dict[str, bytes | str]:
    """Every file and link below a folder, to see that nothing was touched. The lock of a run comes and goes."""
    found: dict[str, bytes | str] = {}
    for path in sorted(folder.rglob("*")):
        name = str(path.relative_to(folder))
        if path.is_symlink():
            found[name] = str(path.readlink())
        elif path.is_file() and name != "run.lock":
            found[name] = path.read_bytes()
        elif path.is_dir():
            found[name] = "folder"
    return found
