"""Writes computed values as files that other programs open: images, sound, video, and tensors for everything else."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save
from torch import Tensor

from artschool.config.component import Component
from artschool.config.structure import Config
from artschool.errors import ConfigError
from artschool.media.audio import write_audio
from artschool.media.images import write_grid, write_image
from artschool.media.video import write_video
from artschool.model.cut import Cut
from artschool.model.flows import Flow
from artschool.model.model import Model
from artschool.paths import exists
from artschool.registry.ranges import OVERSHOOT, Range, leaves, measured
from artschool.storage.durable import make_folder, write_file

COLORS = (1, 3)
FRAME_RATE = 8
"""Frames per second of animated images, since no file says how fast its sequences are."""
SHORTEST_SOUND = 0.02
"""Seconds from which on a row of numbers counts as sound."""
IN_GRID = 64
"""The most images in one grid."""
SMALL = 64
"""Size in pixels up to which smaller images are enlarged in the grid, each pixel to a square."""


class Results:
    """Writes the values of one key, batch by batch, into a folder named after the key.

    Images get a grid beside the folder. Values that are neither images nor sound nor video become one file.

    Args:
        known: The range of the values. None: the first batch decides which usual range they have.
        rate: Samples of sound per second. None: nothing is sound.

    Raises:
        ConfigError: What would be written exists.
    """

    def __init__(self, folder: Path, key: str, known: Range | None, rate: int | None) -> None:
        self._name, self._folder, self._range, self._rate = name_of(key), folder, known, rate
        self._count = 0
        self._files: list[Path] = []
        self._kept: list[Any] = []
        self._captions: list[str] = []
        for name in (self._name, *(f"{self._name}{ending}" for ending in (".png", ".safetensors", ".json"))):
            if exists(folder / name):
                raise ConfigError(f"{folder / name}: exists. Fix: choose another folder with -o")

    def write(self, values: Any, captions: Sequence[str] = ()) -> list[Path]:
        """Write a batch.

        Args:
            captions: A text for each image in the grid. Empty: no texts.

        Returns:
            The written files.

        Raises:
            ResourceError: The disk is full or cannot be written.
        """
        write_one = self._writer(values)
        if write_one is None or self._count == len(self._kept) < IN_GRID:
            self._kept += list(values) if isinstance(values, Tensor | list) else [values]
            self._captions += captions
        if write_one is None:
            return []
        make_folder(self._folder / self._name)
        before = len(self._files)
        for one in values:
            self._files.append(write_one(self._folder / self._name / f"{self._count:05d}", one))
            self._count += 1
        return self._files[before:]

    def discard(self) -> None:
        """Remove what was written, so that the same call can write it again."""
        for file in self._files:
            file.unlink(missing_ok=True)
        with suppress(OSError):  # It holds files of somebody else, or was never created.
            (self._folder / self._name).rmdir()

    def close(self) -> list[Path]:
        """Write what is made of all batches: the grid, or the file. Returns the written files."""
        written = self._close()
        self._files += written
        return written

    def _close(self) -> list[Path]:
        if not self._kept:
            return []
        if not self._count:
            return [self._write_rest()]
        images = [self._colors(each) for each in self._kept[:IN_GRID]]
        if images[0].dim() != 3 or any(each.shape != images[0].shape for each in images):
            return []
        path, sheet = self._folder / f"{self._name}.png", torch.stack(images)
        factor = max(1, SMALL // max(sheet.shape[-2:]))
        sheet = sheet.repeat_interleave(factor, -1).repeat_interleave(factor, -2)
        write_grid(path, sheet, self._captions[: len(images)])
        return [path]

    def _writer(self, values: Any) -> Callable[[Path, Tensor], Path] | None:
        """What writes one of the values. None: they are written together."""
        if not isinstance(values, Tensor) or not (values.is_floating_point() or values.dtype is torch.uint8):
            return None
        sizes = values.shape[1:]
        if self._rate is not None and _is_sound(sizes, self._rate):
            return self._write_sound
        if len(sizes) in (3, 4) and sizes[-3] in COLORS and min(sizes[-2:]) > 1:
            if self._range is None:
                self._range = probable_range(values)
            return self._write_image if len(sizes) == 3 else self._write_frames
        return None

    def _write_image(self, path: Path, value: Tensor) -> Path:
        write_image(path.with_suffix(".png"), self._colors(value))
        return path.with_suffix(".png")

    def _write_frames(self, path: Path, value: Tensor) -> Path:
        write_video(path.with_suffix(".webp"), self._colors(value), FRAME_RATE)
        return path.with_suffix(".webp")

    def _write_sound(self, path: Path, value: Tensor) -> Path:
        assert self._rate is not None
        write_audio(path.with_suffix(".wav"), value.float(), self._rate)
        return path.with_suffix(".wav")

    def _write_rest(self) -> Path:
        make_folder(self._folder)
        if all(isinstance(each, Tensor) and each.shape == self._kept[0].shape for each in self._kept):
            path = self._folder / f"{self._name}.safetensors"
            write_file(path, save({self._name: torch.stack(self._kept).contiguous()}))
            return path
        path = self._folder / f"{self._name}.json"
        write_file(path, json.dumps(self._kept, default=_plain).encode())
        return path

    def _colors(self, value: Tensor) -> Tensor:
        """Values with black as 0 and white as 1."""
        low, high = self._range or (0.0, 1.0)
        return (value.float() - low) / max(high - low, 1e-12)


def results_of(folder: Path, model: Model, cut: Cut) -> dict[str, Results]:
    """What writes the keys of a cut into a folder.

    Raises:
        ConfigError: Two keys have one name on the disk, or what would be written exists.
    """
    names = Counter(map(name_of, cut.keys))
    if same := [key for key in cut.keys if names[name_of(key)] > 1]:
        listed = " and ".join(map(repr, same))
        raise ConfigError(f"{listed} would have the same files. Fix: write them to different folders, one by one")
    rate = sample_rate_of(model.config, cut.flow)
    return {key: Results(folder, key, model.range_of(key), rate) for key in cut.keys}


def name_of(key: str) -> str:
    """The name of the files of a key."""
    return key.replace("/", "_")


def probable_range(values: Tensor) -> Range:
    """The range of images: 0..255 of whole numbers, else 0..1 or -1..1 if they lie in it, else that of their values."""
    if not values.is_floating_point():
        return (0.0, 255.0)
    found = measured(values) or (0.0, 1.0)
    return next((usual for usual in ((0.0, 1.0), (-1.0, 1.0)) if not leaves(found, usual, OVERSHOOT)), found)


def sample_rate_of(config: Config, flow: Flow) -> int | None:
    """Samples of sound per second in a dataflow, as its data or injectors have it. None: there is no sound."""
    data = [config.data[name] for name in dict.fromkeys(flow.sources.values()) if name in config.data]
    for component in _with_inner([*data, *flow.injectors]):
        rate = getattr(component.entry, "option_sample_rate", None)
        if isinstance(rate, int):
            return rate
    return None


def _with_inner(components: Iterable[Component]) -> Iterable[Component]:
    for component in components:
        yield component
        yield from _with_inner(component.inner)


def _is_sound(sizes: Sequence[int], rate: int) -> bool:
    is_row = len(sizes) == 1 or (len(sizes) == 2 and sizes[0] <= 2)
    return is_row and sizes[-1] >= SHORTEST_SOUND * rate


def _plain(value: Any) -> Any:
    return value.tolist() if isinstance(value, Tensor) else str(value)
