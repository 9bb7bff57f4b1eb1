"""Folders of images that are sorted into classes."""

from __future__ import annotations

from pathlib import Path
from typing import TypedDict

from torch import Tensor

from artschool.components.datasets.pictures import Augment, Crop, Pictures
from artschool.components.datasets.views import Channels, View, image_in_values
from artschool.errors import DataError, allowed
from artschool.registry import datasets
from artschool.registry.signature import Count


class Labelled(TypedDict):
    """A sample: `image` (C, H, W), its `label` in 0..K-1, the name of that class, and the `name` of the file."""

    image: Tensor
    label: int
    class_name: str
    name: str


@datasets.register(values=image_in_values)
class LabelledFolder:
    """Images in a folder for each class, such as `cats/1.png` and `dogs/2.png`, sorted by path.

    The first folder of the path below `path` is the class. Classes are numbered in the order of their names. Images
    outside of a folder are passed over with a note.

    Args:
        path: Folder, .zip or .tar with a folder for each class, or a list of them. Each is searched recursively for
            PNG, JPEG, WebP and BMP.
        classes: Names of the classes, in the order of their labels. Required for equal labels if some of several data
            sets lack a class. null: all folders with images, sorted by name.
        size: Side of a square patch in pixels. null: whole images, which need `batch_size: 1` unless all have one size.
        crop: Patch of an image: `middle` reduces the largest center square to `size`, `random` cuts a square of `size`
            at random. Ignored without `size`. Smaller images cannot be read.
        augment: Whether images are flipped and rotated by quarter turns at random; `flip` only flips left to right.
        channels: Number of channels. 3: red, green and blue. 1: gray, the mean over them.
        values: Values of black and white, such as `[-1, 1]`.
        exclude: Patterns of file names to leave out, such as `ref.*`. null: none.

    Raises:
        DataError: The folder does not exist or has no image in a folder, or a folder is not in `classes`.
    """

    def __init__(
        self,
        *,
        path: Path | list[Path],
        classes: list[str] | None = None,
        size: Count | None = None,
        crop: Crop = "middle",
        augment: Augment = False,
        channels: Channels = 3,
        values: tuple[float, float] = (0.0, 1.0),
        exclude: list[str] | None = None,
    ) -> None:
        self._pictures = Pictures(path, "labelled_folder", exclude or [])
        found = [_class_of(name) for _, name in self._pictures.files]
        self._indices = [index for index, name in enumerate(found) if name]
        names = [name for name in found if name]
        if not names:
            raise DataError(
                f"labelled_folder: {path}: expected a folder of images for each class, such as cats/1.png, got "
                "images without folders. Fix: sort them into folders, or use `image_folder`"
            )
        self.classes = classes if classes is not None else sorted(set(names))
        numbers = {name: number for number, name in enumerate(self.classes)}
        if unknown := sorted(set(names) - numbers.keys()):
            raise DataError(
                f"labelled_folder: {path}: unknown class {unknown[0]!r}. "
                f"{allowed('Available classes', unknown[0], self.classes)}"
            )
        self._labels = [numbers[name] for name in names]
        self.remarks = list(self._pictures.remarks)
        if outside := len(found) - len(names):
            self.remarks.append(f"{path}: passed over {outside} of {len(found)} images, which are in no folder")
        self._view = View(size, crop, augment, channels, values)

    def __len__(self) -> int:
        return len(self._indices)

    def __getitem__(self, index: int) -> Labelled:
        file, label = self._indices[index], self._labels[index]
        return {
            "image": self._view.of(self._pictures, file),
            "label": label,
            "class_name": self.classes[label],
            "name": self._pictures.name(file),
        }


def _class_of(name: str) -> str:
    """The first folder of a path; "" if it has none."""
    folder, slash, _ = name.removeprefix("./").partition("/")
    return folder if slash else ""
