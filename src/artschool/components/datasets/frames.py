"""Consecutive frames of videos, stored as images in folders."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import pairwise
from pathlib import Path

import torch

from artschool.components.datasets.corruptions import Corruptions
from artschool.components.datasets.pairs import Corrupted, Degradation, in_values
from artschool.components.datasets.pictures import (
    Augment,
    Pictures,
    orient,
    random_corner,
    random_orientation,
)
from artschool.errors import DataError
from artschool.media.pixels import to_tensor
from artschool.registry import datasets
from artschool.registry.signature import Count
from artschool.wording.counting import counted


@datasets.register(values=in_values)
class Frames:
    """Sequences of `count` frames from one folder; every possible start is one sample.

    Frames are in the order of their names, where numbers count by their value: `2.png` comes before `10.png`.

    `lq` and `hq` are (T, 3, H, W). All frames of a sample have the same crop and orientation; each is corrupted
    separately, and `corruption_entropy` is (T, number of fixed corruptions). `name` is that of the first frame.

    Args:
        path: Folder, .zip or .tar with one folder of frames per video, or a list of them. Frames directly inside count
            as one video.
        count: Number of frames per sample, 1 or more.
        stride: Distance from one frame of a sample to the next, 1 or more. 1: consecutive frames.
        size: Side of a random square patch in pixels. null: whole frames.
        scale: Factor by which `lq` is smaller than `hq`, 1 or more.
        augment: Whether patches are flipped and rotated by quarter turns at random; `flip` only flips left to right.
        corruptions: Corruptions of `lq`, described in docs/data.md. null: none.
        values: Values of black and white in `lq` and `hq`, such as `[-1, 1]`.

    Raises:
        DataError: The folder does not exist, or no folder in it has enough frames.
    """

    def __init__(
        self,
        *,
        path: Path | list[Path],
        count: Count,
        stride: Count = 1,
        size: Count | None = None,
        scale: Count = 1,
        augment: Augment = False,
        corruptions: Corruptions | None = None,
        values: tuple[float, float] = (0.0, 1.0),
    ) -> None:
        self._pictures = Pictures(path, "frames")
        folders = [(source, name.rpartition("/")[0]) for source, name in self._pictures.files]
        reach = (count - 1) * stride
        # In sorted names, the files of one folder need not be adjacent, so each folder has its own list.
        videos: dict[tuple[int, str], list[int]] = {}
        for index, folder in enumerate(folders):
            videos.setdefault(folder, []).append(index)
        for frames in videos.values():
            frames.sort(key=lambda index: _in_numbers(self._pictures.name(index)))
        paths = [[self._pictures.files[index][1] for index in frames] for frames in videos.values()]
        self.remarks = [*self._pictures.remarks, *_gaps(paths)]
        self._samples = [
            frames[start : start + reach + 1 : stride]
            for frames in videos.values()
            for start in range(len(frames) - reach)
        ]
        if not self._samples:
            longest = max(map(len, videos.values()))
            raise DataError(
                f"frames: no folder in {path} has enough frames (expected {reach + 1}, got at most {longest}). "
                "Fix: lower `count` or `stride`"
            )
        self._size, self._augment = size, augment
        self._degrade = Degradation(scale, corruptions, values)

    def __len__(self) -> int:
        return len(self._samples)

    def __getitem__(self, index: int) -> Corrupted:
        indices = self._samples[index]
        name, location = self._pictures.name(indices[0]), self._pictures.location(indices[0])
        pictures = [self._pictures.read(frame) for frame in indices]
        sizes = sorted({f"{picture.width} x {picture.height}" for picture in pictures})
        if len(sizes) > 1:
            found = ", ".join(sizes)
            raise DataError(
                f"{location}: expected one size for the {len(pictures)} frames that start here, got {found}. "
                "Fix: resize the frames of the folder to one size"
            )
        if self._size is None:
            images = [picture.pixels() for picture in pictures]
        else:
            top, left = random_corner(pictures[0].height, pictures[0].width, self._size, location)
            images = [picture.square(top, left, self._size) for picture in pictures]
        stack = torch.stack([to_tensor(image) for image in images])
        return self._degrade(orient(stack, random_orientation(self._augment)), name)


def _gaps(videos: Sequence[Sequence[str]]) -> Iterator[str]:
    """A sentence if frames are missing: the number in the names of a video rises by more than it mostly does."""
    jumps = [jump for names in videos for jump in _jumps(names)]
    if jumps:
        first, second = jumps[0]
        others = f" and at {counted(len(jumps) - 1, 'other place')}" if len(jumps) > 1 else ""
        yield (
            f"frames seem to be missing between {first} and {second}{others}, which count as consecutive. "
            "Fix: add them, or put the frames after them into another folder"
        )


def _jumps(names: Sequence[str]) -> Iterator[tuple[str, str]]:
    """The neighbors whose numbers differ by more than those of most neighbors do."""
    numbers = [[part for part, _ in _in_numbers(name) if part >= 0] for name in names]
    rises = [_rise(one, two) for one, two in pairwise(numbers)]
    usual, count = Counter(rises).most_common(1)[0] if rises else (0, 0)
    if usual > 0 and 2 * count > len(rises):
        yield from (pair for pair, rise in zip(pairwise(names), rises, strict=True) if rise > usual)


def _rise(first: Sequence[int], second: Sequence[int]) -> int:
    """The difference of two names in the only number that differs. 0: others differ, too."""
    differences = [two - one for one, two in zip(first, second, strict=False) if one != two]
    return differences[0] if len(differences) == 1 else 0


def _in_numbers(name: str) -> list[tuple[int, str]]:
    """A key that sorts names by the values of the numbers in them, and equal ones by their text."""
    parts = re.split(r"([0-9]+)", name)
    return [*((int(part), "") if part.isdecimal() and part.isascii() else (-1, part) for part in parts), (0, name)]
