"""Data sets of other packages: torchvision's by the name of their class, Hugging Face's `datasets`."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any, TypedDict

import torch
from PIL import Image
from torch import Tensor

from artschool.components.datasets.pictures import to_tensor
from artschool.errors import ConfigError, DataError, ResourceError, allowed
from artschool.registry import datasets


class Labelled(TypedDict):
    """`image` (C, H, W), float32 in 0..1, and `label`."""

    image: Tensor
    label: int


@datasets.register
class TorchvisionDataset:
    """A data set of labelled pictures of `torchvision.datasets`, such as MNIST, CIFAR10 or ImageFolder.

    Grey pictures have one channel. Nothing is downloaded: the files have to be in `root` already.

    Args:
        name: The name of the class, such as `MNIST`.
        root: The folder that holds the files.
        options: Further options of the class, such as `{train: false}` or `{split: test}`.

    Raises:
        ResourceError: torchvision is not installed, or does not work with this torch.
        ConfigError: It has no such data set.
        DataError: Its files are not there.
    """

    def __init__(
        self, *, name: str, root: Path, options: dict[str, bool | int | float | str | None] | None = None
    ) -> None:
        try:
            import torchvision.datasets as known
        except (ImportError, RuntimeError) as error:  # An unfit build fails while it registers its operators.
            raise ResourceError(
                f"torchvision_dataset needs torchvision, which cannot be imported ({error}): pip install "
                "'artschool[vision]' in the build that fits your torch"
            ) from error
        if name not in known.__all__:
            raise ConfigError(f"torchvision has no data set {name!r}. {allowed('There are', name, known.__all__)}")
        target = getattr(known, name)
        given: dict[str, Any] = dict(options or {})
        if "download" in inspect.signature(target).parameters:
            given["download"] = False
        try:
            self._data = target(str(root), **given)
        except RuntimeError as error:
            raise DataError(f"torchvision_dataset: {name}: {error}") from error

    def __len__(self) -> int:
        return len(self._data)

    def __getitem__(self, index: int) -> Labelled:
        image, label = self._data[index][:2]
        return {"image": _as_tensor(image), "label": label}


def _as_tensor(value: Any) -> Any:
    """Pictures and lists of numbers as tensors, all else as it is."""
    if isinstance(value, Image.Image):
        picture = to_tensor(value)
        return picture[:1].clone() if value.mode in ("L", "1") else picture
    if isinstance(value, list) and value and all(isinstance(item, int | float) for item in value):
        return torch.tensor(value)
    return value


@contextmanager
def _offline(package: Any) -> Iterator[None]:
    """Keep Hugging Face's packages from asking their server, which they do even for what lies in the cache."""
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
    """A data set of the package `datasets`: one saved on disk, data files, or one of its cache by name.

    Pictures become (3, H, W), grey ones (1, H, W), in 0..1; lists of numbers become tensors.

    Args:
        path: A folder that `save_to_disk` wrote, a file (.parquet, .csv, .json, .jsonl, .arrow, .txt), or the name of
            a data set that lies in the cache.
        columns: Key to column: `{image: img, label: fine_label}`.
        config: The data set's configuration, where it has several.
        split: The part of the data set, such as `train`.
        download: Whether one that is not in the cache may be fetched; nothing is without it.

    Raises:
        ResourceError: The package is not installed.
        DataError: There is no such data set, part or column.
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
        try:
            import datasets as package
        except ImportError as error:
            raise ResourceError(
                "hugging_face needs the package datasets, which is not installed: pip install 'artschool[huggingface]'"
            ) from error
        try:
            self._data = self._load(package, Path(path), config, split, download)
        except (OSError, ValueError) as error:
            raise DataError(f"hugging_face: {path}: {error}") from error
        missing = [column for column in columns.values() if column not in self._data.column_names]
        if missing:
            hint = allowed("There are", missing[0], self._data.column_names)
            raise DataError(f"hugging_face: {path} has no column {missing[0]!r}. {hint}")
        self._data = self._data.select_columns(list(dict.fromkeys(columns.values())))
        self._columns = columns

    @staticmethod
    def _load(package: Any, path: Path, config: str | None, split: str, download: bool) -> Any:
        if path.is_dir():
            loaded = package.load_from_disk(str(path))
            return loaded[split] if isinstance(loaded, package.DatasetDict) else loaded
        if path.is_file():
            reader = READERS.get(path.suffix.lower())
            if reader is None:
                raise ValueError(f"files may end in {', '.join(READERS)}")
            return package.load_dataset(reader, data_files=str(path), split="train")
        with nullcontext() if download else _offline(package):
            return package.load_dataset(str(path), config, split=split)

    def __len__(self) -> int:
        return len(self._data)

    def __getitem__(self, index: int) -> dict[str, Any]:
        row = self._data[index]
        return {key: _as_tensor(row[column]) for key, column in self._columns.items()}
