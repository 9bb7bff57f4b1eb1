"""Data sets of other packages: torchvision's by class name, and those of Hugging Face's `datasets`."""

from __future__ import annotations

import inspect
import os
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any, TypedDict

import torch
from PIL import Image
from torch import Tensor

from artschool.errors import ConfigError, DataError, ResourceError
from artschool.extras import extra
from artschool.media.pixels import from_pillow, to_tensor
from artschool.paths import is_dir, is_file
from artschool.registry import datasets
from artschool.wording.names import allowed


class Labelled(TypedDict):
    """A sample: `image` (C, H, W), float32 in 0..1, and `label`."""

    image: Tensor
    label: int


@datasets.register(values={"image": (0.0, 1.0)})
class TorchvisionDataset:
    """A data set of labelled images of `torchvision.datasets`, such as MNIST, CIFAR10 or ImageFolder.

    Grey images have one channel. Nothing is downloaded: `root` must already contain the files.

    Args:
        name: Name of the class, such as `MNIST`.
        root: Folder that contains the files of the data set.
        options: Further arguments of the class, such as `{train: false}` or `{split: test}`. null: its defaults.

    Raises:
        ResourceError: torchvision is not installed, or does not work with the installed torch.
        ConfigError: torchvision has no data set of this name.
        DataError: The files are missing.
    """

    def __init__(
        self, *, name: str, root: Path, options: dict[str, bool | int | float | str | None] | None = None
    ) -> None:
        try:
            import torchvision.datasets as known
        except (ImportError, RuntimeError) as error:  # A build for another torch fails to register its operators.
            raise ResourceError(
                f"torchvision_dataset requires torchvision, which cannot be imported ({error}). Fix: pip install "
                "'artschool[vision]', in the build that matches your torch"
            ) from error
        if name not in known.__all__:
            raise ConfigError(
                f"unknown data set {name!r} of torchvision. {allowed('Available data sets', name, known.__all__)}"
            )
        target = getattr(known, name)
        given: dict[str, Any] = dict(options or {})
        if "download" in inspect.signature(target).parameters:
            given["download"] = False
        try:
            self._data = target(str(root), **given)
        except RuntimeError as error:
            raise DataError(
                f"torchvision_dataset: {root}: cannot load {name}: {error}\n"
                "    Fix: copy the files of the data set into `root`; artschool downloads nothing"
            ) from error

    def __len__(self) -> int:
        return len(self._data)

    def __getitem__(self, index: int) -> Labelled:
        image, label = self._data[index][:2]
        return {"image": _as_tensor(image), "label": label}


def _as_tensor(value: Any) -> Any:
    """Convert images and lists of numbers to tensors; return other values unchanged."""
    if isinstance(value, Image.Image):
        pixels = from_pillow(value, f"image of {value.width} x {value.height}")
        return to_tensor(pixels)[: pixels.shape[2]].clone()
    if isinstance(value, list) and value and all(isinstance(item, int | float) for item in value):
        return torch.tensor(value)
    return value


@contextmanager
def _offline(package: Any) -> Iterator[None]:
    """Keep Hugging Face's packages from contacting their server, which they do even for cached data sets."""
    import huggingface_hub.constants as hub

    before = package.config.HF_HUB_OFFLINE, hub.HF_HUB_OFFLINE
    package.config.HF_HUB_OFFLINE = hub.HF_HUB_OFFLINE = True
    try:
        yield
    finally:
        package.config.HF_HUB_OFFLINE, hub.HF_HUB_OFFLINE = before


READERS = {".parquet": "parquet", ".csv": "csv", ".json": "json", ".jsonl": "json", ".arrow": "arrow", ".txt": "text"}


@datasets.register
class HuggingFace:
    """A data set of Hugging Face's `datasets`: a saved folder, a data file, or a cached data set by name.

    Images become (3, H, W), grey ones (1, H, W), in 0..1; lists of numbers become tensors.

    Args:
        path: Folder written by `save_to_disk`, data file (.parquet, .csv, .json, .jsonl, .arrow, .txt), or name of a
            data set in the cache.
        columns: Column of each key, such as `{image: img, label: fine_label}`.
        config: Configuration of the data set, if it has several. null: the default one.
        split: Split of the data set, such as `train`. Data files and folders without splits ignore it.
        download: Whether a data set that is not in the cache may be downloaded.

    Raises:
        ResourceError: The package is not installed.
        DataError: The data set, split or column does not exist.
    """

    def __init__(
        self,
        *,
        path: str,
        columns: dict[str, str],
        config: str | None = None,
        split: str = "train",
        download: bool = False,
    ) -> None:
        with extra("huggingface", "hugging_face"):
            import datasets as package
        try:
            self._data = self._load(package, Path(os.path.expanduser(path)), config, split, download)  # noqa: PTH111  # keeps an unknown user
        except (OSError, ValueError) as error:
            raise DataError(f"hugging_face: {path}: {error}") from error
        missing = [column for column in columns.values() if column not in self._data.column_names]
        if missing:
            hint = allowed("Available columns", missing[0], self._data.column_names)
            raise DataError(f"hugging_face: {path}: unknown column {missing[0]!r}. {hint}")
        self._data = self._data.select_columns(list(dict.fromkeys(columns.values())))
        self._columns = columns

    @staticmethod
    def _load(package: Any, path: Path, config: str | None, split: str, download: bool) -> Any:
        if is_dir(path):
            loaded = package.load_from_disk(str(path))
            if not isinstance(loaded, package.DatasetDict):
                return loaded
            if split not in loaded:
                raise ValueError(f"unknown split {split!r}. {allowed('Available splits', split, loaded)}")
            return loaded[split]
        if is_file(path):
            reader = READERS.get(path.suffix.lower())
            if reader is None:
                raise ValueError(f"unknown file type {path.suffix!r} (expected {', '.join(READERS)})")
            return package.load_dataset(reader, data_files=str(path), split="train")
        with nullcontext() if download else _offline(package):
            return package.load_dataset(str(path), config, split=split)

    def __len__(self) -> int:
        return len(self._data)

    def __getitem__(self, index: int) -> dict[str, Any]:
        row = self._data[index]
        return {key: _as_tensor(row[column]) for key, column in self._columns.items()}
