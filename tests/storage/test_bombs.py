"""The size that a file declares is looked at before memory of that size is taken."""

from __future__ import annotations

import io
import resource
import tarfile
import zipfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch

from artschool.components.datasets.shards import TarShards
from artschool.components.datasets.sources import MAX_BYTES, Folder, Tar, Zip
from artschool.engine.old_checkpoints import _read as read_old_checkpoint
from artschool.errors import CheckpointError, DataError
from artschool.storage.tensors import read_content

HUGE = 2_900_000_256
TOO_LARGE = r"file is too large: 2,900,000,256 bytes \(limit 1,073,741,824\)\. Fix: replace the file or remove it$"


@pytest.fixture(autouse=True)
def little_memory() -> Iterator[None]:
    """This process gets no memory for what a file declares."""
    limits = resource.getrlimit(resource.RLIMIT_AS)
    taken = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (taken + MAX_BYTES // 2, limits[1]))
    yield
    resource.setrlimit(resource.RLIMIT_AS, limits)


def zipped(file: Path, name: str, declared: int) -> None:
    """An archive with one compressed entry of zeros, for which it declares another size."""
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(name, bytes(30_000_000))
        archive.infolist()[0].file_size = declared


def tarred(file: Path, name: str, data: bytes, declared: int | None = None) -> None:
    entry = tarfile.TarInfo(name)
    entry.size = len(data) if declared is None else declared
    file.write_bytes(entry.tobuf() + data + bytes(-len(data) % 512 + 1024))


def test_an_entry_of_a_zip(tmp_path: Path) -> None:
    zipped(tmp_path / "a.zip", "b.png", HUGE)
    with pytest.raises(DataError, match=rf"a\.zip/b\.png: {TOO_LARGE}"):
        Zip(tmp_path / "a.zip").read("b.png")


def test_an_entry_of_a_tar(tmp_path: Path) -> None:
    tarred(tmp_path / "a.tar", "b.png", b"", HUGE)
    with (tmp_path / "a.tar").open("ab") as file:
        file.truncate(HUGE + 2048)
    with pytest.raises(DataError, match=rf"a\.tar/b\.png: {TOO_LARGE}"):
        Tar(tmp_path / "a.tar").read("b.png")


def test_a_header_of_a_tar(tmp_path: Path) -> None:
    entry = tarfile.TarInfo("x")
    entry.type, entry.size = tarfile.XHDTYPE, 8 * HUGE
    (tmp_path / "a.tar").write_bytes(entry.tobuf(tarfile.GNU_FORMAT) + bytes(1024))
    with pytest.raises(DataError, match=r"a\.tar: cannot be read as an uncompressed \.tar"):
        Tar(tmp_path / "a.tar")


def test_a_file_of_a_folder(tmp_path: Path) -> None:
    with (tmp_path / "b.png").open("wb") as file:
        file.truncate(HUGE)
    with pytest.raises(DataError, match=rf"b\.png: {TOO_LARGE}"):
        Folder(tmp_path).read("b.png")


def test_an_array(tmp_path: Path) -> None:
    stream = io.BytesIO()
    np.lib.format.write_array_header_1_0(stream, {"descr": "<f4", "fortran_order": False, "shape": (HUGE // 4,)})
    tarred(tmp_path / "a.tar", "1.npy", stream.getvalue() + bytes(100))
    with pytest.raises(DataError, match=r"1\.npy: cannot be decoded as npy: expected 2900000256 bytes of values, got"):
        TarShards(path=str(tmp_path / "a.tar"), columns={"x": "npy"})[0]


@pytest.mark.parametrize("declared", [30_000_000, HUGE])
def test_weights(tmp_path: Path, declared: int) -> None:
    zipped(tmp_path / "a.pt", "archive/data.pkl", declared)
    with pytest.raises(
        CheckpointError, match=rf"a\.pt: cannot read: its entries expand to {declared:,} bytes, the file"
    ):
        read_content(tmp_path / "a.pt")
    (tmp_path / "a.pt").rename(tmp_path / "7.state")
    with pytest.raises(CheckpointError, match=r"7\.state: cannot be read without running code: its entries expand to"):
        read_old_checkpoint(tmp_path / "7.state")


def test_weights_that_torch_has_saved_are_read(tmp_path: Path) -> None:
    shared = torch.zeros(100_000)
    torch.save({"a": shared, "b": shared[:10]}, tmp_path / "a.pt")
    assert read_content(tmp_path / "a.pt")["b"].shape == (10,)
