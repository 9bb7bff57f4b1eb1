"""Pictures and their small or damaged versions, each in a folder of its own."""

from __future__ import annotations

from pathlib import Path, PurePosixPath

from artschool.components.datasets.pairs import Pair
from artschool.components.datasets.pictures import Augment, Pictures, corner, random_turn, to_tensor, turned
from artschool.errors import DataError
from artschool.registry import datasets
from artschool.registry.signature import Count


@datasets.register
class ImagePairs:
    """Pairs of pictures that have the same names, without endings, in two folders.

    Args:
        lq: The folder, .zip or .tar of small or damaged pictures.
        hq: The folder, .zip or .tar of clean pictures.
        size: Side of a random patch of `hq` in pixels, a multiple of `scale`; `lq` is cut at the same place. Whole
            pictures without it.
        scale: How many times larger `hq` is.
        augment: Whether both are flipped and turned alike at random; `flip` only flips left to right.

    Raises:
        DataError: A folder is missing or empty, or a picture has no counterpart.
    """

    def __init__(
        self, *, lq: Path, hq: Path, size: Count | None = None, scale: Count = 1, augment: Augment = False
    ) -> None:
        self._lq, self._hq = Pictures(lq, "image_pairs"), Pictures(hq, "image_pairs")
        names = [{str(PurePosixPath(name).with_suffix("")) for _, name in side.files} for side in (self._lq, self._hq)]
        alone = sorted(names[0] ^ names[1])
        if alone or len(self._lq) != len(self._hq):
            raise DataError(f"image_pairs: {alone[0] if alone else 'a name'!r} is not once in both of {lq} and {hq}")
        if size is not None and size % scale:
            raise DataError(f"image_pairs: size {size} is no multiple of scale {scale}")
        self._size, self._scale, self._augment = size, scale, augment

    def __len__(self) -> int:
        return len(self._hq)

    def __getitem__(self, index: int) -> Pair:
        lq, hq, name, scale = self._lq.read(index), self._hq.read(index), self._hq.name(index), self._scale
        if (lq.width * scale, lq.height * scale) != hq.size:
            raise DataError(
                f"{name} is {hq.width} x {hq.height}, which is not {scale} times its lq, {lq.width} x {lq.height}"
            )
        if self._size is not None:
            small = self._size // scale
            top, left = corner(lq.height, lq.width, small, f"lq of {name}")
            lq = lq.crop((left, top, left + small, top + small))
            hq = hq.crop((left * scale, top * scale, left * scale + self._size, top * scale + self._size))
        turn = random_turn(self._augment)
        return {"lq": turned(to_tensor(lq), turn), "hq": turned(to_tensor(hq), turn), "name": name}
