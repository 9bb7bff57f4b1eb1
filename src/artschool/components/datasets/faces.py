"""Small faces that are included in scikit-image; nothing is downloaded."""

from __future__ import annotations

from typing import Literal, TypedDict

import torch
from torch import Tensor

from artschool.extras import extra
from artschool.registry import datasets

NUM_FACES = 100
VAL_EVERY = 5


class Face(TypedDict):
    """A sample: `image` (1, 25, 25), float32 in 0..1, and `label`: 1 for a face, 0 for other images."""

    image: Tensor
    label: int


@datasets.register(values={"image": (0.0, 1.0)})
class SkimageFaces:
    """The 100 grey faces of scikit-image, 25 x 25 pixels: 80 for training, every fifth for evaluation.

    Args:
        split: Part of the data set: `train` for four out of five images, `val` for every fifth.
        negatives: Whether 100 crops without a face are appended, divided by the same rule.

    Raises:
        ResourceError: scikit-image is not installed.

    Source: Huang et al. 2007, Labeled Faces in the Wild, technical report 07-49, a subset.
    """

    def __init__(self, *, split: Literal["train", "val"] = "train", negatives: bool = False) -> None:
        with extra("demo", "skimage_faces"):
            from skimage.data import lfw_subset
        count = 2 * NUM_FACES if negatives else NUM_FACES
        chosen = [index for index in range(count) if (index % VAL_EVERY == VAL_EVERY - 1) == (split == "val")]
        self._images = torch.from_numpy(lfw_subset()).float()[chosen, None]  # type: ignore[no-untyped-call]  # scikit-image's
        self._labels = [int(index < NUM_FACES) for index in chosen]

    def __len__(self) -> int:
        return len(self._labels)

    def __getitem__(self, index: int) -> Face:
        return {"image": self._images[index], "label": self._labels[index]}
