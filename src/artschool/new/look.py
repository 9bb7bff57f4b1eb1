"""What is in a folder of the user: images with classes or captions, or recordings."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from artschool.components.datasets.captions import table_of
from artschool.components.datasets.finding import endings_of, select_names
from artschool.components.datasets.sources import FileSource, Folder
from artschool.errors import DataError
from artschool.media.audio import SUFFIXES, read_header
from artschool.media.pixels import DECODERS, FORMATS
from artschool.paths import exists, is_dir
from artschool.wording.counting import counted

MOST_READ = 20_000
"""Number of files whose headers are read at most, spread evenly over all."""


@dataclass(frozen=True)
class Images:
    """The images of a folder.

    Attributes:
        count: Number of images.
        smallest: Name, width and height of the image with the shortest side.
        largest: Width and height of the image with the longest side.
        gray: Whether all are gray.
        deep: Number of images with 16 bits.
        transparent: Number of images with transparency.
        damaged: Number of files that are no images.
        classes: Names of the sub-folders that contain images, if there are two or more and no image is outside.
        captions: Where captions are, "" if there are none.
    """

    count: int
    smallest: tuple[str, int, int]
    largest: tuple[int, int]
    gray: bool
    deep: int
    transparent: int
    damaged: int
    classes: tuple[str, ...]
    captions: str

    def __str__(self) -> str:
        """One sentence for comments and the terminal."""
        name, width, height = self.smallest
        parts = [f"{self.count:,} {'gray ' if self.gray else ''}images"]
        if self.classes:
            parts.append(f"in {len(self.classes)} folders")
        parts.append(f"of {width} x {height} ({name}) to {self.largest[0]} x {self.largest[1]} pixels")
        notes = [f"{self.deep} of 16 bits"] * bool(self.deep)
        notes += [f"{self.transparent} with transparency, which is dropped"] * bool(self.transparent)
        notes += [f"captions in {self.captions}"] * bool(self.captions)
        notes += [f"{counted(self.damaged, 'file')} that cannot be read"] * bool(self.damaged)
        return ", ".join([" ".join(parts), *notes]) + "."


@dataclass(frozen=True)
class Recordings:
    """The recordings of a folder.

    Attributes:
        count: Number of recordings.
        rates: Number of recordings by sample rate in Hz.
        shortest: Length of the shortest one in seconds.
        seconds: Length of all that were read, in seconds.
        damaged: Number of files that are no recordings.
    """

    count: int
    rates: Counter[int]
    shortest: float
    seconds: float
    damaged: int

    def __str__(self) -> str:
        """One sentence for comments and the terminal."""
        rates = ", ".join(f"{rate} Hz" for rate, _ in self.rates.most_common(4))
        damaged = f", {counted(self.damaged, 'file')} that cannot be read" if self.damaged else ""
        length = f"{self.seconds / 3600:.1f} hours" if self.seconds >= 3600 else f"{self.seconds:.0f} seconds"
        return f"{self.count:,} recordings at {rates}, {length} in all, {self.shortest:.1f} seconds or more{damaged}."


def look_at(folder: Path) -> Images | Recordings:
    """Look at the files of a folder: images, or recordings if there are more of them.

    Raises:
        DataError: The folder does not exist, or has neither images nor recordings.
        ResourceError: soundfile is not installed, and there are recordings.
    """
    if not is_dir(folder):
        raise DataError(f"{folder}: expected a folder, got {'a file' if exists(folder) else 'nothing'}")
    source = Folder(folder)
    images, recordings = select_names(source.names, FORMATS), select_names(source.names, SUFFIXES)
    if not images and not recordings:
        endings = ", ".join([*FORMATS, *SUFFIXES])
        raise DataError(f"{folder}: expected images or recordings ({endings}), got {endings_of(source.names)}")
    return _images(source, images) if len(images) >= len(recordings) else _recordings(folder, recordings)


def _some(names: Sequence[str]) -> list[str]:
    step = max(1, -(-len(names) // MOST_READ))
    return list(names[::step])


def _images(source: FileSource, names: Sequence[str]) -> Images:
    headers, damaged = [], 0
    for name in _some(names):
        header = _header(source.path / name)
        damaged += header is None
        if header is not None:
            headers.append((name, *header))
    if not headers:
        raise DataError(f"{source.path}: none of {len(names)} images can be read. Fix: correct the path")
    name, width, height, *_ = min(headers, key=lambda header: (min(header[1:3]), header))
    largest = max(((w, h) for _, w, h, *_ in headers), key=lambda sides: (max(sides), sides))
    modes = [mode for *_, mode, _ in headers]
    return Images(
        count=len(names),
        smallest=(name, width, height),
        largest=largest,
        gray=all(mode in ("1", "L", "LA") or mode.startswith("I") for mode in modes),
        deep=sum(deep for *_, deep in headers),
        transparent=sum(mode in ("LA", "RGBA", "PA") for mode in modes),
        damaged=damaged,
        classes=_classes(names),
        captions=_captions(source, names),
    )


def _header(file: Path) -> tuple[int, int, str, bool] | None:
    """Width and height as viewers show it, mode, and whether it has 16 bits; None if it is no image."""
    from PIL import ExifTags, Image

    try:
        with Image.open(file, formats=DECODERS) as image:
            turned = image.getexif().get(ExifTags.Base.Orientation, 1) in (5, 6, 7, 8)
            width, height = image.size[::-1] if turned else image.size
            raw: Any = image.tile[0][3] if image.tile else ""
            return width, height, image.mode, "16" in str(raw) or image.mode.startswith("I")
    except Exception:  # Pillow's decoders raise exceptions of many types.
        return None


def _classes(names: Sequence[str]) -> tuple[str, ...]:
    folders = {name.partition("/")[0] if "/" in name else "" for name in names}
    return tuple(sorted(folders)) if len(folders) > 1 and "" not in folders else ()


def _captions(source: FileSource, names: Sequence[str]) -> str:
    if table := table_of(source):
        return table
    texts = {os.path.splitext(name)[0] for name in select_names(source.names, (".txt",))}  # noqa: PTH122
    return ".txt files" if all(os.path.splitext(name)[0] in texts for name in names) else ""  # noqa: PTH122


def _recordings(folder: Path, names: Sequence[str]) -> Recordings:
    rates, lengths, damaged = Counter[int](), [], 0
    for name in _some(names):
        try:
            frames, rate = read_header(folder / name)
        except DataError:
            damaged += 1
            continue
        rates[rate] += 1
        lengths.append(frames / rate)
    if not lengths:
        raise DataError(f"{folder}: none of {len(names)} recordings can be read. Fix: correct the path")
    return Recordings(len(names), rates, min(lengths), sum(lengths), damaged)
