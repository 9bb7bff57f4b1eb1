"""Shards on a server: the samples of local ones, from a cache of any size, whatever the network does."""

from __future__ import annotations

import importlib.util
import random
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import fsspec
import numpy as np
import pytest
import torch

from artschool.components.datasets import remote, remote_tar
from artschool.components.datasets.block_cache import BlockCache
from artschool.components.datasets.remote import expanded, shown
from artschool.components.datasets.shards import ShardCache, TarShards
from artschool.data.loader import Loader
from artschool.data.sampler import Batches, InChunks, RankSampler
from artschool.errors import DataError, ResourceError
from tests.components.datasets.remote_files import FileServer, Loopback, serving
from tests.components.datasets.test_shards import array, shard

NUM_SHARDS = 6
NUM_SAMPLES = 20
COLUMNS = {"x": "npy", "label": "cls"}
NO_AIOHTTP = importlib.util.find_spec("aiohttp") is None
PROTOCOLS = ["loopback", pytest.param("http", marks=pytest.mark.skipif(NO_AIOHTTP, reason="aiohttp is not installed"))]


@pytest.fixture(autouse=True)
def _small_and_hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    fsspec.register_implementation("loopback", Loopback, clobber=True)
    monkeypatch.setattr(remote, "WAITS", (0.0, 0.0, 0.0))
    monkeypatch.setattr(remote_tar, "BLOCK", 10_000)
    monkeypatch.setattr(remote_tar, "HEADERS", 2_000)


@pytest.fixture
def server(tmp_path: Path) -> Iterator[FileServer]:
    folder = tmp_path / "shards"
    folder.mkdir()
    for number in range(NUM_SHARDS):
        files = {}
        for index in range(NUM_SAMPLES):
            sample = number * NUM_SAMPLES + index
            files[f"{index:02d}.npy"] = array(np.full(500, sample, dtype=np.float32))
            files[f"{index:02d}.cls"] = str(sample).encode()
        shard(folder / f"{number:03d}.tar", files)
    with serving(folder) as running:
        yield running


def opened(server: FileServer, tmp_path: Path, size: int = 10**9, protocol: str = "loopback") -> TarShards:
    class Cache(ShardCache):
        def open(self) -> BlockCache:
            return BlockCache(tmp_path / "cache", size)

    url = f"{server.url(protocol)}/{{000..{NUM_SHARDS - 1:03d}}}.tar"
    return TarShards(path=url, columns=COLUMNS, cache=Cache())


def values(dataset: Any, start: int, stop: int, workers: int = 0, shuffle: bool | InChunks = True) -> list[list[int]]:
    batches = Batches("data.train", len(dataset), 8, seed=3, shuffle=shuffle, drop_last=True)
    loader = Loader(dataset, "data.train", 3, workers)
    found = []
    for batch in loader.load(RankSampler(batches, start, stop), torch.device("cpu")):
        assert torch.equal(batch["x"][:, 0].long(), batch["label"]) and batch["x"].shape == (8, 500)
        found.append(batch["label"].tolist())
    return found


def blocks(tmp_path: Path) -> list[Path]:
    return sorted((tmp_path / "cache").glob("*/*.block"))


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_remote_shards_are_the_local_ones(server: FileServer, tmp_path: Path, protocol: str) -> None:
    local = TarShards(path=f"{server.folder}/{{000..005}}.tar", columns=COLUMNS)
    first = opened(server, tmp_path, protocol=protocol)
    assert len(first) == len(local) == NUM_SHARDS * NUM_SAMPLES
    assert values(first, 0, 20) == values(local, 0, 20)
    # Everything is in the cache: index and blocks.
    server.fetched.clear()
    assert values(opened(server, tmp_path, protocol=protocol), 0, 20) == values(local, 0, 20)
    assert server.fetched.total() == 0


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_a_server_without_ranges_is_asked_once(server: FileServer, tmp_path: Path, protocol: str) -> None:
    server.sends_ranges = False
    with pytest.raises(DataError) as error:
        opened(server, tmp_path, protocol=protocol)
    size = (server.folder / "000.tar").stat().st_size
    assert str(error.value).endswith(
        f"/000.tar: the server sends {size} bytes in place of 2000 from 0. "
        "Fix: use a server that sends ranges of files, or copy the files to this machine"
    )
    assert server.fetched["000.tar"] == size


def test_an_index_reads_headers_and_not_the_files_between_them(server: FileServer, tmp_path: Path) -> None:
    shard(server.folder / "large.tar", {f"{index}.npy": array(np.zeros(50_000)) for index in range(5)})
    shards = TarShards(
        path=f"{server.url('loopback')}/large.tar", columns={"x": "npy"}, cache=ShardCache(folder=tmp_path / "cache")
    )
    assert len(shards) == 5 and server.fetched["large.tar"] < 6 * 2 * 2_000 < 5 * 400_000
    assert shards[4]["x"].shape == (50_000,)


@pytest.mark.parametrize("workers", [0, 2])
def test_a_run_resumes_in_the_middle_of_an_epoch_with_a_cache_smaller_than_the_data(
    server: FileServer, tmp_path: Path, workers: int
) -> None:
    total = sum(file.stat().st_size for file in server.folder.iterdir())
    limit = total // 3
    dataset = opened(server, tmp_path, limit)
    order = InChunks(NUM_SAMPLES, 2 * NUM_SAMPLES)
    whole = values(dataset, 0, 30, workers, order)
    assert sorted(label for batch in whole[:15] for label in batch) == list(range(len(dataset)))
    assert values(opened(server, tmp_path, limit), 11, 30, workers, order) == whole[11:]
    assert sum(file.stat().st_size for file in blocks(tmp_path)) <= limit


def test_chunks_fetch_each_shard_about_once_and_a_free_order_many_times(server: FileServer, tmp_path: Path) -> None:
    total = sum(file.stat().st_size for file in server.folder.iterdir())
    fetched = []
    orders: list[bool | InChunks] = [InChunks(NUM_SAMPLES, 2 * NUM_SAMPLES), True]
    for number, order in enumerate(orders):
        dataset = opened(server, tmp_path / str(number), total // 2)
        server.fetched.clear()
        values(dataset, 0, 15, shuffle=order)
        fetched.append(server.fetched.total() / total)
    assert fetched[0] < 1.1 and fetched[1] > 1.5


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize("failures", [[503], ["cut"], ["short"], [503, "cut", 429]])
def test_failures_are_retried(server: FileServer, tmp_path: Path, protocol: str, failures: list[int | str]) -> None:
    dataset = opened(server, tmp_path, protocol=protocol)
    server.failures[:] = failures
    assert dataset[42]["x"][0] == 42  # In the second half of its block.
    assert not server.failures


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_failures_before_the_first_sample_are_retried(server: FileServer, tmp_path: Path, protocol: str) -> None:
    server.failures[:] = [503, 503, "cut"]
    assert opened(server, tmp_path, protocol=protocol)[0]["x"][0] == 0
    assert not server.failures


def test_what_fails_for_good_is_a_bad_sample_with_its_url(server: FileServer, tmp_path: Path) -> None:
    dataset = opened(server, tmp_path)
    name = f"{server.url('loopback')}/002.tar"
    server.failures[:] = [503] * 4
    with pytest.raises(DataError) as error:
        dataset[50]
    assert str(error.value) == (
        f"{name}: cannot be read in 4 tries: 503 for {name}. "
        "Fix: check the network and the server, then start the run again; it resumes"
    )
    server.failures[:] = [403]
    with pytest.raises(DataError, match=r"/002\.tar: access is denied: 403 for .*\. Fix: check the credentials of"):
        dataset[50]
    server.failures[:] = [416]
    with pytest.raises(DataError, match=r"/002\.tar: the server refuses to send it: 416 for .*\. Fix: check that the"):
        dataset[50]
    with pytest.raises(DataError, match=r"/9\.tar: expected a file, got none\. Fix: correct `path`$"):
        TarShards(path=f"{server.url('loopback')}/9.tar", columns=COLUMNS, cache=ShardCache(folder=tmp_path))


def test_a_host_that_does_not_answer_is_named(tmp_path: Path, server: FileServer) -> None:
    server.server_close()
    with pytest.raises(DataError, match=r"/000\.tar: cannot be read in 4 tries: .*refused.*\. Fix: check the network"):
        opened(server, tmp_path)


def test_a_shard_that_is_replaced_is_not_mixed_with_the_old_one(
    server: FileServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(remote_tar, "CHECK_SECONDS", -1.0)
    dataset = opened(server, tmp_path)
    file = server.folder / "002.tar"
    file.write_bytes(file.read_bytes().replace(b"NUMPY", b"NOMPY"))
    with pytest.raises(
        DataError, match=r"002\.tar: expected the file of the start of the run \(\d+ bytes, ETag .*Fix: st"
    ):
        dataset[50]
    with pytest.raises(DataError, match=r"002\.tar/10\.npy: cannot be decoded as npy"):
        opened(server, tmp_path)[50]  # A new run reads the new file.


def test_credentials_are_not_shown(server: FileServer, tmp_path: Path) -> None:
    assert shown("s3://key:secret@host/a.tar") == "s3://host/a.tar"
    assert shown("403, url='https://u:p@h/a.tar?sig=abc'") == "403, url='https://h/a.tar?...'"
    server.failures[:] = [503] * 4
    with pytest.raises(DataError) as error:
        TarShards(path=f"{server.url('loopback')}/000.tar?sig=abc", columns=COLUMNS, cache=ShardCache(folder=tmp_path))
    assert "abc" not in str(error.value) and "?..." in str(error.value)


@pytest.mark.parametrize("folder", ["file", "file/cache"])
def test_a_file_in_place_of_the_cache_is_named(server: FileServer, tmp_path: Path, folder: str) -> None:
    (tmp_path / "file").touch()
    cache = ShardCache(folder=tmp_path / folder)
    with pytest.raises(ResourceError, match=rf"Not a directory\. {tmp_path}/file is not a folder\. Fix"):
        TarShards(path=f"{server.url('loopback')}/000.tar", columns=COLUMNS, cache=cache)


def test_fetching_does_not_change_what_a_sample_draws(
    server: FileServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    dataset, cat_file = opened(server, tmp_path), Loopback.cat_file

    def jittery(self: Loopback, path: str, start: int = 0, end: int = 0) -> bytes:
        random.random()
        return bytes(cat_file(self, path, start, end))

    monkeypatch.setattr(Loopback, "cat_file", jittery)
    random.seed(1)
    expected = random.random()
    random.seed(1)
    dataset[0]
    assert random.random() == expected


def test_a_missing_package_names_the_extra(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(url: str) -> None:
        raise ImportError("HTTPFileSystem requires aiohttp")

    monkeypatch.setattr("fsspec.core.url_to_fs", missing)
    with pytest.raises(
        ResourceError, match=r"^https://h/a\.tar: .* requires aiohttp\. Fix: pip install 'artschool\[rem"
    ):
        TarShards(path="https://h/a.tar", columns=COLUMNS, cache=ShardCache(folder=tmp_path))


def test_patterns_are_listed_or_counted(server: FileServer, tmp_path: Path) -> None:
    assert expanded("a{08..11}.tar") == ["a08.tar", "a09.tar", "a10.tar", "a11.tar"]
    assert expanded("{x,y}/{0..1}") == ["x/0", "x/1", "y/0", "y/1"]
    assert expanded("{one}.tar") == ["{one}.tar"]
    files = fsspec.filesystem("memory")
    for number in range(2):
        files.pipe(f"/shards/{number}.tar", (server.folder / f"00{number}.tar").read_bytes())
    cache = ShardCache(folder=tmp_path / "cache")
    shards = TarShards(path="memory://shards/*.tar", columns=COLUMNS, cache=cache)
    assert [shards[index]["label"] for index in (0, 39)] == [0, 39]
    with pytest.raises(DataError, match=r"^tar_shards: no file matches memory://none/\*\.tar\. Fix: correct `path`$"):
        TarShards(path="memory://none/*.tar", columns=COLUMNS, cache=cache)


def test_a_block_that_several_need_is_made_once(tmp_path: Path) -> None:
    made = []

    def make() -> bytes:
        made.append(threading.get_ident())
        return b"0123456789"

    def read() -> None:
        results.append(BlockCache(tmp_path, 1000).read("key", 2, 5, make))

    results: list[bytes] = []
    threads = [threading.Thread(target=read) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert results == [b"234"] * 8 and len(made) == 1


def test_the_least_recently_used_block_goes_first_and_foreign_files_stay(tmp_path: Path) -> None:
    cache = BlockCache(tmp_path, 332)  # Three blocks of 104, and what stays free.
    (tmp_path / "ab").mkdir()
    foreign = tmp_path / "ab" / "notes.block"
    foreign.write_bytes(b"x" * 500)

    def read(key: str) -> bytes:
        return cache.read(key, 0, 1, lambda: made.append(key) or key.encode() * 100)  # type: ignore[func-returns-value]

    made: list[str] = []
    for key in "abcadbca":  # `a` is used again before `d` takes the place of `b`.
        assert read(key) == key.encode()
        time.sleep(0.01)  # The clock of a file system may be that coarse.
    assert made == list("abcdbca") and foreign.exists()
    assert sum(file.stat().st_size for file in tmp_path.glob("*/*.block") if file != foreign) <= 332


@pytest.mark.parametrize("damage", [b"", b"foreign", b"1" * 100 + b"abcd"])
def test_a_damaged_block_is_made_again(tmp_path: Path, damage: bytes) -> None:
    assert BlockCache(tmp_path, 1000).read("key", 0, 3, lambda: b"1" * 100) == b"111"
    (block,) = tmp_path.glob("*/*.block")
    block.write_bytes(damage)
    (tmp_path / "size").write_text("many")
    made = []
    assert BlockCache(tmp_path, 1000).read("key", 0, 3, lambda: made.append(1) or b"1" * 100) == b"111"  # type: ignore[func-returns-value]
    assert made == [1] and block.stat().st_size == 104
