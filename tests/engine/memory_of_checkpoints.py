"""As a script, with a folder and overrides: writes the peak memory of a training to `peaks.json`, in bytes."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import torch
from torch import Tensor, nn

import artschool
from artschool.components.builtins import load_builtins
from artschool.registry import networks
from tests.engine import toy_parts, toy_run

TEXT = """
name: memory
data: {train: {type: part_samples, length: 64, batch_size: 2, width: 512}}
networks: {net: {type: memory_layers}}
steps:
  main:
    trains: net
    optimizer: {type: adamw, lr: 1e-6}
    injectors: {y: {type: forward, network: net, in: x, out: y}}
    losses: {mean: {type: mean, in: y, weight: 1.0}}
ema: {decay: 0.9, networks: [net]}
train: {iterations: 9, device: cpu}
checkpoint: {every: 3, keep_last: 1}
log: {every: 100}
"""
LAYERS = 24


class Turned(nn.Module):
    """A layer whose weight is not contiguous."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(512, 512).t())

    def forward(self, x: Tensor) -> Tensor:
        """(..., 512) to the same."""
        return x @ self.weight


@networks.register("memory_layers")
def layers() -> nn.Module:
    """(B, 512) to the same: layers of a megabyte."""
    return nn.Sequential(*(Turned() for _ in range(LAYERS)))


def peak() -> int:
    """The most memory that the process had since the last call."""
    lines = Path("/proc/self/status").read_text().splitlines()
    kilobytes = next(int(line.split()[1]) for line in lines if line.startswith("VmHWM"))
    Path("/proc/self/clear_refs").write_text("5")
    return kilobytes * 1024


def train(folder: Path, *overrides: str) -> list[int]:
    """Train in this process. Returns the peak before training, and of each iteration with what came after it."""
    found: list[int] = []
    run = toy_run.load(folder, *overrides, text=TEXT)
    run.loggers = []

    def measure(iteration: int, folder: Path) -> None:
        run.saver.join()  # So that each write counts for the iteration before it.
        found.append(peak())

    run.update_hooks = [measure]
    run.train()
    return [*found, peak()]


def main(folder: Path, *overrides: str) -> None:
    """Train, or resume if the folder has a checkpoint."""
    load_builtins()
    peak()
    is_resumed = (folder / "run").exists()
    (folder / "peaks.json").write_text(
        json.dumps(train(folder, f"train.iterations={12 if is_resumed else 9}", *overrides))
    )


if __name__ == "__main__":
    assert artschool and toy_parts  # Registers their parts.
    main(Path(sys.argv[1]), *sys.argv[2:])
