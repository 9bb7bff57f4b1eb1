"""Slanted digits, and how slanted a digit is."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import affine_grid, grid_sample

from artschool import datasets, injectors, metrics
from artschool.components.datasets.digits import Digit
from artschool.registry.signature import Dataset


@injectors.register(values={"x": (0.0, 1.0), "out": (0.0, 1.0)})
def slanted(x: Tensor, *, by: float) -> Tensor:
    """Let images lean to the right: each row moves by `by` times its height above the middle.

    Args:
        x: (B, C, H, W) with zeros around what it shows.
        by: Columns per row. Below 0: to the left.
    """
    transform = torch.tensor([[1.0, by, 0.0], [0.0, 1.0, 0.0]], device=x.device, dtype=x.dtype)
    return grid_sample(
        x, affine_grid(transform.expand(len(x), 2, 3), list(x.shape), align_corners=False), align_corners=False
    )


@datasets.register(values={"image": (0.0, 1.0)})
class SlantedDigits:
    """Digits that lean to the right.

    Args:
        data: Upright digits.
        by: Columns per row.
    """

    def __init__(self, *, data: Dataset, by: float) -> None:
        self._data, self._by = data, by

    def __len__(self) -> int:
        return len(self._data)

    def __getitem__(self, index: int) -> Digit:
        sample = self._data[index]
        return {"image": slanted(sample["image"][None], by=self._by)[0], "label": sample["label"]}


@metrics.register
def slant(image: Tensor) -> Tensor:
    """How far each digit leans to the right, in columns per row: the slope of a line through its ink.

    Args:
        image: (B, 1, H, W), 0 without ink.

    Returns:
        (B,).
    """
    ink = image[:, 0] / image.sum((1, 2, 3)).clamp(min=1e-6)[:, None, None]
    rows, columns = (torch.arange(size, device=ink.device, dtype=ink.dtype) for size in ink.shape[1:])
    row, column = (ink.sum(2) * rows).sum(1), (ink.sum(1) * columns).sum(1)
    up, right = row[:, None, None] - rows[:, None], columns - column[:, None, None]
    return (ink * up * right).sum((1, 2)) / (ink * up.square()).sum((1, 2)).clamp(min=1e-6)
