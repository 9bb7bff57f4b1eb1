"""A folder of your own pictures."""

from __future__ import annotations

from pathlib import Path

from artschool.components.datasets.corruptions import Corruptions
from artschool.components.datasets.pairs import Corrupted, Degradation
from artschool.components.datasets.pictures import Augment, Crop, Pictures, cut, random_turn, to_tensor, turned
from artschool.registry import datasets
from artschool.registry.signature import Count


@datasets.register
class ImageFolder:
    """Every picture below a folder, in the order of their names, with a version `scale` times smaller.

    Args:
        path: The folder, or a .zip or .tar of pictures, or a list of them; PNG, JPEG, WebP and BMP anywhere below.
        size: Side of a square patch in pixels; whole pictures without it, which then need `batch_size: 1` unless all
            have one size.
        crop: `random` cuts patches anywhere, `middle` shrinks the largest square in the middle.
        scale: How many times smaller `lq` is.
        augment: Whether patches are flipped and turned at random; `flip` only flips left to right.
        corruptions: What damages `lq`; see docs/data.md.
        values: What black and white become.
        exclude: Patterns of file names to leave out, such as `ref.*`.

    Raises:
        DataError: There is no such folder, or no picture in it.
    """

    def __init__(
        self,
        *,
        path: Path | list[Path],
        size: Count | None = None,
        crop: Crop = "random",
        scale: Count = 1,
        augment: Augment = False,
        corruptions: Corruptions | None = None,
        values: tuple[float, float] = (0.0, 1.0),
        exclude: list[str] | None = None,
    ) -> None:
        self._pictures = Pictures(path, "image_folder", exclude or [])
        self._size, self._crop, self._augment = size, crop, augment
        self._degrade = Degradation(scale, corruptions, values)

    def __len__(self) -> int:
        return len(self._pictures)

    def __getitem__(self, index: int) -> Corrupted:
        name = self._pictures.name(index)
        image = cut(self._pictures.read(index), self._size, self._crop, name)
        return self._degrade(turned(to_tensor(image), random_turn(self._augment)), name)
