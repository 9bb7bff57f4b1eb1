"""Consecutive frames of videos that lie as pictures in folders."""

from __future__ import annotations

from pathlib import Path

import torch

from artschool.components.datasets.corruptions import Corruptions
from artschool.components.datasets.pairs import Corrupted, Degradation
from artschool.components.datasets.pictures import Augment, Pictures, corner, random_turn, to_tensor, turned
from artschool.errors import DataError
from artschool.registry import datasets
from artschool.registry.signature import Count


@datasets.register
class Frames:
    """Every run of `count` frames that lie in one folder, in the order of their names.

    `lq` and `hq` are stacks (T, 3, H, W), all frames cut and turned alike; each frame is damaged on its own, and
    `corruption_entropy` is (T, number of fixed corruptions). `name` is that of the first frame.

    Args:
        path: A folder of folders of frames, or a .zip or .tar of them, or a list; frames may also lie directly in it.
        count: Frames of a sample; 2 gives pairs of frames.
        stride: Steps from one frame of a sample to the next.
        size: Side of a random patch in pixels; whole frames without it.
        scale: How many times smaller `lq` is.
        augment: Whether patches are flipped and turned at random; `flip` only flips left to right.
        corruptions: What damages `lq`; see docs/data.md.
        values: What black and white become.

    Raises:
        DataError: There is no such folder, or none has enough frames.
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
        # Names are sorted, so that the files of a folder need not lie side by side: each has its own list.
        videos: dict[tuple[int, str], list[int]] = {}
        for index, folder in enumerate(folders):
            videos.setdefault(folder, []).append(index)
        self._samples = [
            frames[start : start + reach + 1 : stride]
            for frames in videos.values()
            for start in range(len(frames) - reach)
        ]
        if not self._samples:
            raise DataError(f"frames: no folder below {path} has {reach + 1} frames")
        self._size, self._augment = size, augment
        self._degrade = Degradation(scale, corruptions, values)

    def __len__(self) -> int:
        return len(self._samples)

    def __getitem__(self, index: int) -> Corrupted:
        indices = self._samples[index]
        name = self._pictures.name(indices[0])
        images = [self._pictures.read(frame) for frame in indices]
        if self._size is not None:
            top, left = corner(images[0].height, images[0].width, self._size, name)
            images = [image.crop((left, top, left + self._size, top + self._size)) for image in images]
        if len({image.size for image in images}) > 1:
            raise DataError(f"the {len(images)} frames from {name} on differ in size")
        stack = torch.stack([to_tensor(image) for image in images])
        return self._degrade(turned(stack, random_turn(self._augment)), name)
