"""Checkpoints that a training deletes while another process reads them."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from artschool.errors import CheckpointError
from artschool.storage import checkpoint_files, mapped
from artschool.storage.checkpoint_folders import CheckpointFolders, retry_while_changing
from artschool.storage.checkpoint_store import CheckpointStore, Manifest
from artschool.storage.choose_checkpoint import choose_checkpoint
from tests.engine.test_store import save, start


@pytest.fixture
def training(tmp_path: Path) -> Iterator[Path]:
    """The folder of a run whose process saves all the time, replaces what it has saved, and keeps one checkpoint."""

    def train() -> None:
        store = CheckpointStore(tmp_path / "checkpoints")
        for number in range(1, 1_000_000):
            save(store, number)
            save(store, number)
            store.rotate([], keep_last=1)

    child, store = start(train), CheckpointStore(tmp_path / "checkpoints")
    while max(store.numbers(), default=0) < 2:
        time.sleep(0.01)
    yield tmp_path
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)


def test_the_newest_checkpoint_is_found_and_read_while_a_training_deletes_it(training: Path) -> None:
    lines: list[str] = []
    folders = CheckpointFolders(training / "checkpoints")
    for _ in range(200):
        read = retry_while_changing(
            folders.listing,
            lambda: checkpoint_files.load(choose_checkpoint(training, "last", lines.append), mapped=True),
        )
        assert read.state["value"] == read.number
    assert lines == []


def test_a_checkpoint_that_is_deleted_while_it_is_verified_is_not_damaged(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = CheckpointStore(tmp_path / "checkpoints")
    save(store, 1)
    verify, lines = checkpoint_files.verify, list[str]()

    def verified(path: Path) -> Manifest:
        if path.name == "00000001":
            save(store, 2)
            assert store.rotate([], keep_last=1) == [1]
        return verify(path)

    monkeypatch.setattr(checkpoint_files, "verify", verified)
    assert CheckpointStore(store.folder).newest_valid(lines.append) == 2
    assert lines == []
    with pytest.raises(CheckpointError, match="00000001: checkpoint does not exist"):
        choose_checkpoint(tmp_path, 1)


def test_a_file_that_is_there_again_when_torch_has_not_found_it_is_a_missing_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "gen.safetensors"

    def safe_open(path: Path, framework: str) -> None:
        file.touch()
        torch.UntypedStorage.from_file(str(tmp_path / "none"), shared=False, nbytes=8)

    monkeypatch.setattr(mapped, "safe_open", safe_open)
    with pytest.raises(FileNotFoundError):
        mapped.map_tensors(file)
