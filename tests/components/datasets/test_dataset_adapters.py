"""Data sets of other packages, which stand-ins take the place of: none of them is needed to install or to test."""

from __future__ import annotations

import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
import torch
from PIL import Image

from artschool.components.datasets.adapters import HuggingFace, TorchvisionDataset
from artschool.errors import ConfigError, DataError, ResourceError


class MNIST:
    """As torchvision's: grey pictures and labels."""

    def __init__(self, root: str, train: bool = True, download: bool = True) -> None:
        if download:
            raise AssertionError("asked to download")
        if not Path(root).is_dir():
            raise RuntimeError("Dataset not found. You can use download=True to download it")
        self._train = train

    def __len__(self) -> int:
        return 2

    def __getitem__(self, index: int) -> tuple[Image.Image, int]:
        return Image.new("L", (4, 4), 51 * index), index if self._train else -index


def torchvision(monkeypatch: pytest.MonkeyPatch) -> None:
    package, sets = ModuleType("torchvision"), ModuleType("torchvision.datasets")
    vars(sets).update(MNIST=MNIST, __all__=("MNIST", "CIFAR10"))
    vars(package)["datasets"] = sets
    monkeypatch.setitem(sys.modules, "torchvision", package)
    monkeypatch.setitem(sys.modules, "torchvision.datasets", sets)


def test_a_data_set_of_torchvision_is_named_by_its_class(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    torchvision(monkeypatch)
    digits = TorchvisionDataset(name="MNIST", root=tmp_path, options={"train": False})
    assert len(digits) == 2 and digits[1]["label"] == -1
    torch.testing.assert_close(digits[1]["image"], torch.full((1, 4, 4), 0.2))


def test_what_torchvision_lacks_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    torchvision(monkeypatch)
    said = r"unknown data set 'MNITS' of torchvision\. Available data sets: CIFAR10, MNIST\. Did you mean 'MNIST'\?"
    with pytest.raises(ConfigError, match=said):
        TorchvisionDataset(name="MNITS", root=tmp_path)
    with pytest.raises(ConfigError, match=r"unknown data set 'os'"):
        TorchvisionDataset(name="os", root=tmp_path)
    with pytest.raises(
        DataError, match=r"^torchvision_dataset: .*none: cannot load MNIST: Dataset not found.*\n    Fix: "
    ):
        TorchvisionDataset(name="MNIST", root=tmp_path / "none")


@pytest.mark.parametrize(
    ("build", "extra"),
    [
        (lambda: TorchvisionDataset(name="MNIST", root=Path()), "vision"),
        (lambda: HuggingFace(path="x", columns={}), "huggingface"),
    ],
)
def test_a_missing_package_names_the_extra(build: Any, extra: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("torchvision", "torchvision.datasets", "datasets"):
        monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(ResourceError, match=rf"Fix: pip install 'artschool\[{extra}\]'"):
        build()


class Table:
    """As a `datasets.Dataset`."""

    def __init__(self, rows: list[dict[str, Any]]) -> None:
        self._rows = rows
        self.column_names = list(rows[0])

    def select_columns(self, names: list[str]) -> Table:
        return Table([{name: row[name] for name in names} for row in self._rows])

    def __len__(self) -> int:
        return len(self._rows)

    def __getitem__(self, index: int) -> dict[str, Any]:
        return self._rows[index]


class Dict(dict[str, Table]):
    """As a `datasets.DatasetDict`."""


def hugging_face(monkeypatch: pytest.MonkeyPatch) -> list[tuple[Any, ...]]:
    rows = [{"img": Image.new("RGB", (2, 2), (255, 0, 0)), "tokens": [1, 2], "text": "a", "more": object()}]
    calls: list[tuple[Any, ...]] = []
    package = ModuleType("datasets")

    def load_dataset(*arguments: Any, **options: Any) -> Table:
        calls.append((arguments, package.config.HF_HUB_OFFLINE and constants.HF_HUB_OFFLINE))
        if arguments[0] == "absent":
            raise ValueError("Couldn't find cache for absent")
        return Table(rows)

    vars(package).update(
        load_dataset=load_dataset,
        load_from_disk=lambda path: Dict(train=Table(rows), test=Table(rows * 3)),
        DatasetDict=Dict,
        config=SimpleNamespace(HF_HUB_OFFLINE=False),
    )
    hub, constants = ModuleType("huggingface_hub"), ModuleType("huggingface_hub.constants")
    vars(constants)["HF_HUB_OFFLINE"] = False
    vars(hub)["constants"] = constants
    monkeypatch.setitem(sys.modules, "datasets", package)
    monkeypatch.setitem(sys.modules, "huggingface_hub", hub)
    monkeypatch.setitem(sys.modules, "huggingface_hub.constants", constants)
    return calls


def test_columns_become_keys(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    calls = hugging_face(monkeypatch)
    data = HuggingFace(path=str(tmp_path), columns={"image": "img", "ids": "tokens", "words": "text"}, split="test")
    assert len(data) == 3 and calls == []
    sample = data[0]
    assert sample["image"][:, 0, 0].tolist() == [1, 0, 0]
    assert sample["ids"].tolist() == [1, 2] and sample["words"] == "a"


def test_a_file_is_read_by_its_ending_and_nothing_is_fetched(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    calls = hugging_face(monkeypatch)
    (tmp_path / "x.parquet").write_bytes(b"")
    HuggingFace(path=str(tmp_path / "x.parquet"), columns={"words": "text"})
    HuggingFace(path="cifar10", columns={"words": "text"}, config="plain")
    HuggingFace(path="cifar10", columns={"words": "text"}, download=True)
    assert [offline for _, offline in calls] == [False, True, False]
    assert calls[0][0] == ("parquet",) and calls[1][0] == ("cifar10", "plain")


@pytest.mark.parametrize(
    ("path", "columns", "text"),
    [
        ("absent", {}, "^hugging_face: absent: Couldn't find cache"),
        ("x.bin", {}, r"^hugging_face: x\.bin: unknown file type '\.bin' \(expected \.parquet, "),
        (
            "here",
            {"a": "txet"},
            r"^hugging_face: here: unknown column 'txet'\. Available columns: .*Did you mean 'text'\?",
        ),
    ],
)
def test_what_is_not_there_is_told(
    path: str, columns: dict[str, str], text: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hugging_face(monkeypatch)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "x.bin").write_bytes(b"")
    with pytest.raises(DataError, match=text):
        HuggingFace(path=path, columns=columns)


def test_an_unknown_split_of_a_saved_data_set_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    hugging_face(monkeypatch)
    with pytest.raises(
        DataError, match=r": unknown split 'tset'\. Available splits: test, train\. Did you mean 'test'\?$"
    ):
        HuggingFace(path=str(tmp_path), columns={"a": "text"}, split="tset")
