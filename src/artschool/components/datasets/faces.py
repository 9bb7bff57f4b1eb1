"""Small faces that ship inside scikit-image's wheel: nothing is downloaded."""

from __future__ import annotations

from typing import Literal, TypedDict

import torch
from torch import Tensor

from artschool.errors import ResourceError
from artschool.registry import datasets

NUM_FACES = 100
VAL_EVERY = 5


class Face(TypedDict):
    """`image` (1, 25, 25), float32 in 0..1, and `label`: 1 for a face, 0 for what is none."""

    image: Tensor
    label: int


@datasets.register
class SkimageFaces:
    """The 100 faces of scikit-image, grey, of 25 x 25 pixels: 80 to train on, every fifth to evaluate.

    Args:
        split: `train` for four of each five, `val` for every fifth.
        negatives: Whether 100 crops that show no face come after them, split alike.

    Raises:
        ResourceError: scikit-image is not installed.

    Source: Huang et al. 2007, Labeled Faces in the Wild, technical report 07-49, a subset.
    """

    def __init__(self, *, split: Literal["train", "val"] = "train", negatives: bool = False) -> None:
        try:
            from skimage.data import lfw_subset
        except ModuleNotFoundError as error:
            raise ResourceError(
                "these faces ship with scikit-image, which is not installed: pip install 'artschool[demo]'"
            ) from error
        count = 2 * NUM_FACES if negatives else NUM_FACES
        chosen = [index for index in range(count) if (index % VAL_EVERY == VAL_EVERY - 1) == (split == "val")]
        self._images = torch.from_numpy(lfw_subset()).float()[chosen, None]  # type: ignore[no-untyped-call]  # scikit-image's
        self._labels = [int(index < NUM_FACES) for index in chosen]

    def __len__(self) -> int:
        return len(self._labels)

    def __getitem__(self, index: int) -> Face:
        return {"image": self._images[index], "label": self._labels[index]}
