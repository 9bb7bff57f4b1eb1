"""Samples in .tar shards."""

from __future__ import annotations

import io
import json
import tarfile
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from artschool.components.datasets.shards import TarShards
from artschool.errors import DataError


def png(value: int) -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (2, 2), (value,) * 3).save(buffer, "PNG")
    return buffer.getvalue()


def array(values: object) -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, np.asarray(values))
    return buffer.getvalue()


def shard(path: Path, files: dict[str, bytes]) -> None:
    with tarfile.open(path, "w") as archive:
        for name, data in files.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(data)
            archive.addfile(entry, io.BytesIO(data))


def test_the_files_of_one_name_are_one_sample_over_all_shards(tmp_path: Path) -> None:
    shard(tmp_path / "1.tar", {"a/1.png": png(51), "a/1.cls": b"3", "a/1.txt": b"one\n", "a/2.png": png(0)})
    more = {"b.jpg": b"", "b.png": png(102), "b.cls": b"4", "b.txt": b"two", "b.seg.npy": array([1, 2])}
    shard(tmp_path / "2.tar", more)
    shards = TarShards(path=f"{tmp_path}/*.tar", columns={"image": "webp;png", "label": "cls", "text": "txt"})
    assert len(shards) == 2  # The second of the first shard has no label.
    lacking = f"{tmp_path}/1.tar: passed over 1 of 2 samples without a file for every key, such as a/2"
    assert shards.remarks == [lacking]
    assert [shards[i]["label"] for i in range(2)] == [3, 4]
    assert [shards[i]["text"] for i in range(2)] == ["one", "two"]
    torch.testing.assert_close(shards[1]["image"], torch.full((3, 2, 2), 0.4))
    assert TarShards(path=str(tmp_path / "2.tar"), columns={"mask": "seg.npy"})[0]["mask"].tolist() == [1, 2]


def test_json_is_what_it_holds(tmp_path: Path) -> None:
    shard(tmp_path / "1.tar", {"1.json": json.dumps({"a": [1]}).encode()})
    assert TarShards(path=str(tmp_path / "1.tar"), columns={"meta": "json"})[0] == {"meta": {"a": [1]}}


@pytest.mark.parametrize(
    ("columns", "text"),
    [
        ({"x": "pyd"}, r"^tar_shards: columns: unknown extension 'pyd'\. Available extensions: bmp, cls, "),
        ({"x": "png", "y": "json"}, r"1\.tar has a file for every key \(expected png, json, got png\)\. Fix: "),
    ],
)
def test_what_no_shard_has_is_told(tmp_path: Path, columns: dict[str, str], text: str) -> None:
    shard(tmp_path / "1.tar", {"1.png": png(0)})
    with pytest.raises(DataError, match=text):
        TarShards(path=str(tmp_path / "1.tar"), columns=columns)


def test_a_missing_shard_is_told(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"^tar_shards: no file matches .*none-\*\.tar\. Fix: correct `path`$"):
        TarShards(path=f"{tmp_path}/none-*.tar", columns={"x": "png"})


class Trap:
    """Would write a file where it is unpickled."""

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return (open, ("/tmp/artschool-trap",))


def test_damaged_files_are_told_with_their_shard_and_no_pickle_is_read(tmp_path: Path) -> None:
    trap = io.BytesIO()
    np.save(trap, np.array([Trap()], dtype=object), allow_pickle=True)
    files = {"1.png": b"x", "1.cls": b"many", "1.json": b"{", "1.npy": trap.getvalue()}
    files |= {"1.text.npy": array(["a"]), "1.deep.json": b"[" * 100_000}
    shard(tmp_path / "1.tar", files)
    for ending, text in (
        ("png", "expected an image"),
        ("cls", "cannot be decoded as cls: invalid literal"),
        ("json", "cannot be decoded as json: Expecting"),
        ("npy", "cannot be decoded as npy: .*pickle"),
        ("text.npy", "cannot be decoded as npy: can't convert"),
        ("deep.json", "cannot be decoded as json: (maximum recursion|Stack overflow)"),
    ):
        with pytest.raises(DataError, match=rf"1\.tar/1\.{ending}: {text}.*\. Fix: replace the file or remove it$"):
            TarShards(path=str(tmp_path / "1.tar"), columns={"x": ending})[0]


@pytest.mark.parametrize("kind", ["0.0", "1.0"])
def test_sparse_files_are_refused(tmp_path: Path, kind: str) -> None:
    """Where a sparse file lacks its holes, the archive goes on with other files, which must not be read instead."""
    header = {"GNU.sparse.numblocks": "1", "GNU.sparse.size": "2048", "GNU.sparse.offset": "0"}
    if kind == "1.0":
        header = {"GNU.sparse.major": "1", "GNU.sparse.minor": "0", "GNU.sparse.realsize": "2048"}
    with tarfile.open(tmp_path / "1.tar", "w") as archive:
        entry = tarfile.TarInfo("1.txt")
        entry.pax_headers = header | {"GNU.sparse.name": "1.txt", "GNU.sparse.numbytes": "5"}
        data = b"1\n0\n5\n".ljust(512, b"\0") + b"whole"
        entry.size = len(data)
        archive.addfile(entry, io.BytesIO(data))
    with pytest.raises(DataError, match=r"1\.tar/1\.txt: is stored as a sparse file\. Fix: create the archive without"):
        TarShards(path=str(tmp_path / "1.tar"), columns={"text": "txt"})


def test_a_folder_of_shards_with_hidden_files_and_extensions_in_upper_case(tmp_path: Path) -> None:
    shard(tmp_path / "a.tar", {"1.PNG": png(51), "1.CLS": b"3", "._1.png": b"", "__MACOSX/1.png": b""})
    shard(tmp_path / "b.TAR", {"./1.png": png(51), "./1.cls": b"4"})
    (tmp_path / "._a.tar").write_bytes(b"")
    shards = TarShards(path=str(tmp_path), columns={"image": "png", "label": "CLS"})
    assert [shards[index]["label"] for index in range(len(shards))] == [3, 4] and not shards.remarks
    shard(tmp_path / "a.tar", {"1.PNG": png(51), "1.png": png(51)})
    with pytest.raises(DataError, match=r"a\.tar: expected one file 1\.png, got 1\.PNG and 1\.png\. Fix: remove one$"):
        TarShards(path=str(tmp_path / "a.tar"), columns={"image": "png"})


def test_every_pattern_has_to_match(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shard(tmp_path / "1.tar", {"1.png": png(0)})
    with pytest.raises(DataError, match=r"^tar_shards: no file matches .*/x-\*\.tar\. Fix: correct `path`$"):
        TarShards(path=[str(tmp_path / "1.tar"), f"{tmp_path}/x-*.tar"], columns={"x": "png"})
    monkeypatch.setenv("HOME", str(tmp_path))
    assert len(TarShards(path="~/*.tar", columns={"x": "png"})) == 1
