"""Folders of images that are sorted into classes."""

from __future__ import annotations

from pathlib import Path
from typing import TypedDict

from torch import Tensor

from artschool.components.datasets.folder_labels import FolderLabels
from artschool.components.datasets.pictures import Augment, Crop, Pictures
from artschool.components.datasets.views import Channels, View, image_in_values
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
        self._labels = FolderLabels(
            [name for _, name in self._pictures.files],
            classes,
            path=path,
            owner="labelled_folder",
            files="images",
            example="cats/1.png",
            plain="image_folder",
        )
        self.classes = self._labels.classes
        self.remarks = [*self._pictures.remarks, *self._labels.remarks]
        self._view = View(size, crop, augment, channels, values)

    def __len__(self) -> int:
        return len(self._labels.indices)

    def __getitem__(self, index: int) -> Labelled:
        file, label = self._labels.indices[index], self._labels.labels[index]
        return {
            "image": self._view.of(self._pictures, file),
            "label": label,
            "class_name": self.classes[label],
            "name": self._pictures.name(file),
        }
