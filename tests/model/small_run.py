"""A small conditional generator with an average, a judge and a decoder, trained on a folder that can be deleted."""

from __future__ import annotations

from pathlib import Path
from typing import TypedDict

import torch
from torch import Tensor, nn

import artschool
from artschool.engine.run import Run
from artschool.errors import DataError
from artschool.registry import datasets, networks

TEXT = """
name: small
plugins: [PLUGIN]
data:
  train: {type: kept_values, path: data, batch_size: 4}
  val: {type: kept_values, path: data, batch_size: 3}
networks:
  gen: {type: small_gen}
  judge: {type: small_judge}
  code: {type: small_code}
steps:
  gen:
    trains: gen
    optimizer: {type: sgd, lr: 0.5}
    injectors:
      noise: {type: noise, in: image, shape: [3], out: z}
      early: {type: forward, network: gen, in: [z, label], before: 1, out: drawn}
      late: {type: forward, network: gen, in: [z, label], args: {scale: 1.0}, after: 2, out: drawn}
      often: {type: denormalize, in: drawn, scale: 2.0, every: 3, out: double}
      augment: {type: random_shift, in: image, max_shift: 1, only: training, out: moved}
    losses: {pixel: {type: l1, in: [drawn, image], weight: 1.0, out: value}}
  judge:
    trains: [judge, code]
    optimizer: {type: sgd, lr: 0.1}
    injectors:
      read: {type: forward, network: judge, in: image, out: logits}
      recode: {type: forward, network: code, method: decode, in: logits, out: image_again}
    losses:
      label: {type: cross_entropy, in: [logits, label], weight: 1.0}
      again: {type: l1, in: [image_again, image], weight: 1.0}
train: {iterations: 2 epochs, device: cpu}
ema: {decay: 0.5, networks: [gen]}
evaluate:
  held:
    data: val
    every: 2
    injectors:
      noise: {type: noise, in: image, shape: [3], out: z}
      draw: {type: forward, network: gen, in: [z, label], out: raw}
      range: {type: denormalize, in: raw, scale: 0.5, shift: 0.5, out: drawn}
      judge: {type: forward, network: judge, in: drawn, out: logits}
    metrics: {psnr: {type: psnr, in: [drawn, image]}, accuracy: {type: accuracy, in: [logits, label]}}
  truth:
    data: val
    injectors: {judge: {type: forward, network: judge, in: image, out: logits}}
    metrics: {accuracy: {type: accuracy, in: [logits, label]}}
checkpoint: {every: 2, keep_last: 9, keep_best: {metric: held/psnr, mode: min}}
"""
SIZE = 4
built: list[str] = []
"""The networks that have been built since the list was emptied."""


class Sample(TypedDict):
    """A sample."""

    image: Tensor
    label: int


@datasets.register("kept_values")
class KeptValues:
    """Twelve images and labels of a folder, which must exist."""

    def __init__(self, path: Path) -> None:
        if not path.is_dir():
            raise DataError(f"{path}: no such folder")

    def __len__(self) -> int:
        return 12

    def __getitem__(self, index: int) -> Sample:
        generator = torch.Generator().manual_seed(index)
        return {"image": torch.rand(1, SIZE, SIZE, generator=generator), "label": index % 5}


@networks.register("small_gen")
class Gen(nn.Module):
    """(B, 3) and labels (B,) to (B, 1, 4, 4) in -1..1."""

    def __init__(self) -> None:
        super().__init__()
        built.append("gen")
        self.label = nn.Embedding(5, 3)
        self.out = nn.Linear(3, SIZE * SIZE)
        self.norm = nn.BatchNorm1d(3)
        self.drop = nn.Dropout(0.5)

    def forward(self, z: Tensor, label: Tensor, scale: float = 1.0) -> Tensor:
        hidden = self.drop(self.norm(z + self.label(label)))
        drawn: Tensor = self.out(hidden) * scale
        return torch.tanh(drawn).view(-1, 1, SIZE, SIZE)


@networks.register("small_judge")
class Judge(nn.Module):
    """Images (B, 1, H, W) of any size to logits (B, 5)."""

    def __init__(self) -> None:
        super().__init__()
        built.append("judge")
        self.out = nn.Linear(1, 5)

    def forward(self, x: Tensor) -> Tensor:
        logits: Tensor = self.out(x.mean((2, 3)))
        return logits


@networks.register("small_code")
class Code(nn.Module):
    """Only a method: (B, 5) to (B, 1, 4, 4)."""

    def __init__(self) -> None:
        super().__init__()
        built.append("code")
        self.out = nn.Linear(5, SIZE * SIZE)

    def decode(self, logits: Tensor, *, sharp: bool = False) -> Tensor:
        drawn: Tensor = self.out(logits)
        return drawn.view(-1, 1, SIZE, SIZE)


def load(folder: Path, *overrides: str) -> Run:
    """The run of a folder that contains `data`."""
    (folder / "data").mkdir(parents=True, exist_ok=True)
    (folder / "small.yml").write_text(TEXT.replace("PLUGIN", __file__).replace("path: data", f"path: {folder}/data"))
    return artschool.load(folder / "small.yml", overrides, run_dir=folder / "run")
