"""Handwritten digits that are included in scikit-learn; nothing is downloaded."""

from __future__ import annotations

from typing import Literal, TypedDict

import torch
from torch import Tensor

from artschool.extras import extra
from artschool.registry import datasets

NUM_VAL = 297


class Digit(TypedDict):
    """A sample: `image` (1, 8, 8), float32 in 0..1, and `label` in 0..9."""

    image: Tensor
    label: int


@datasets.register(values={"image": (0.0, 1.0)})
class SklearnDigits:
    """The 1797 handwritten digits of scikit-learn: the first 1500 for training, the last 297 for evaluation.

    Args:
        split: Part of the data set: `train` for the first 1500 digits, `val` for the last 297.

    Raises:
        ResourceError: scikit-learn is not installed.

    Source: Alpaydin and Kaynak 1998, Optical recognition of handwritten digits, UCI repository, its test part.
    """

    def __init__(self, *, split: Literal["train", "val"] = "train") -> None:
        with extra("demo", "sklearn_digits"):
            from sklearn.datasets import load_digits
        digits = load_digits()
        part = slice(-NUM_VAL) if split == "train" else slice(-NUM_VAL, None)
        self._images = torch.tensor(digits.images[part], dtype=torch.float32)[:, None] / 16
        self._labels: list[int] = digits.target[part].tolist()

    def __len__(self) -> int:
        return len(self._labels)

    def __getitem__(self, index: int) -> Digit:
        return {"image": self._images[index], "label": self._labels[index]}
