"""Readers of files that anybody may have made: whatever is in them, they are read or refused with one of our errors.

50 inputs of each kind with every change, 2000 in `make soak`. A reader that takes 20 s or 3 GB fails.
"""

from __future__ import annotations

import fcntl
import hashlib
import io
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import safetensors.torch
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from artschool.engine.old_checkpoints import restore_old
from artschool.engine.restore_run import restore, restore_networks
from artschool.engine.run import Run
from artschool.read.read import check_file
from artschool.storage import checkpoint_files, run_lock
from artschool.storage.checkpoint_files import MANIFEST, STATE
from artschool.storage.tensors import read_content
from tests.config.bad_files import SOUND
from tests.engine.sealed import rich_run, seal
from tests.fuzzed import changed, damaged, few, many, read_or_refused

pytestmark = pytest.mark.filterwarnings("ignore")
Inputs = tuple[st.SearchStrategy[Any], Callable[[Any], object]]
"""What to read, and how."""
TENSORS = {"0.weight": torch.zeros(8, 3, 3, 3), "0.bias": torch.ones(8), "n": torch.tensor(3)}
LOCK = {"pid": 4711, "host": "gpu3", "start": "2026-11-28 05:46:23 UTC"}


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    return rich_run(tmp_path_factory.mktemp("fuzz"))


@pytest.fixture
def saved(run: Run, tmp_path: Path) -> Path:
    """A copy of a checkpoint of the run."""
    return Path(shutil.copytree(run.store.path(3), tmp_path / "00000003"))


def header(data: bytes) -> Any:
    return json.loads(data[8 : 8 + int.from_bytes(data[:8], "little")])


def with_header(fields: Any, data: bytes) -> bytes:
    """A file of tensors with another header."""
    text = json.dumps(fields).encode()
    return len(text).to_bytes(8, "little") + text + data[8 + int.from_bytes(data[:8], "little") :]


def config_text(folder: Path) -> Inputs:
    def read(data: bytes) -> None:
        (folder / "x.yml").write_bytes(data)
        check_file(folder / "x.yml")

    return damaged(SOUND.encode()), read


def config_tree(folder: Path) -> Inputs:
    def read(tree: Any) -> None:
        (folder / "x.yml").write_text(json.dumps(tree))
        check_file(folder / "x.yml")

    from artschool.config.source import read_text

    return changed(read_text(SOUND, "").plain()), read


def manifest(saved: Path, run: Run) -> Inputs:
    data = (saved / MANIFEST).read_bytes()
    fields = json.loads(data)
    del fields["sha256"]

    def read(value: Any) -> None:
        if not isinstance(value, bytes):
            digest = hashlib.sha256(json.dumps(value).encode()).hexdigest()
            value = json.dumps({**value, "sha256": digest}, indent=1).encode()
        (saved / MANIFEST).write_bytes(value)
        restore(run, checkpoint_files.load(saved))

    return st.one_of(damaged(data), changed(fields)), read


def state(saved: Path, run: Run) -> Inputs:
    def read(drawn: tuple[Any, int]) -> None:
        (saved / STATE).write_text(json.dumps(drawn[0]))
        seal(saved)
        restore_networks(run, checkpoint_files.load(saved))
        restore(run, checkpoint_files.load(saved))
        if drawn[1] == 0:
            run.iterations = 4
            run.train()

    return st.tuples(changed(json.loads((saved / STATE).read_bytes())), st.integers(0, 7)), read


def tensors_of_a_checkpoint(saved: Path, run: Run) -> Inputs:
    originals = {path.name: path.read_bytes() for path in saved.glob("*.safetensors")}
    names = st.sampled_from(sorted(originals))

    def read(drawn: tuple[str, bytes]) -> None:
        name, data = drawn
        (saved / name).write_bytes(data)
        seal(saved)
        try:
            restore(run, checkpoint_files.load(saved))
        finally:
            (saved / name).write_bytes(originals[name])

    def content(name: str) -> st.SearchStrategy[bytes]:
        data = originals[name]
        return st.one_of(damaged(data), changed(header(data)).map(lambda fields: with_header(fields, data)))

    return names.flatmap(lambda name: st.tuples(st.just(name), content(name))), read


def weights(folder: Path) -> Inputs:
    data = safetensors.torch.save(TENSORS)

    def read(data: bytes) -> None:
        (folder / "a.safetensors").write_bytes(data)
        read_content(folder / "a.safetensors")

    return st.one_of(damaged(data), changed(header(data)).map(lambda fields: with_header(fields, data))), read


def pickled_weights(folder: Path) -> Inputs:
    def saved_as(*, zipped: bool) -> bytes:
        stream = io.BytesIO()
        torch.save({"state_dict": TENSORS, "epoch": 3}, stream, _use_new_zipfile_serialization=zipped)
        return stream.getvalue()

    def read(data: bytes) -> None:
        (folder / "a.pt").write_bytes(data)
        read_content(folder / "a.pt")

    return st.one_of(damaged(saved_as(zipped=True)), damaged(saved_as(zipped=False))), read


def index_of_weights(folder: Path) -> Inputs:
    safetensors.torch.save_file(TENSORS, folder / "part-1.safetensors")
    index = {"metadata": {"total_size": 900}, "weight_map": dict.fromkeys(TENSORS, "part-1.safetensors")}

    def read(value: Any) -> None:
        file = folder / "a.safetensors.index.json"
        file.write_bytes(value if isinstance(value, bytes) else json.dumps(value).encode())
        read_content(file)

    return st.one_of(changed(index), damaged(json.dumps(index).encode())), read


def shards(folder: Path) -> Inputs:
    first = {name: {"saved_offsets": [0] * value.dim(), "shape": [*value.shape]} for name, value in TENSORS.items()}
    first["0.bias"]["shape"] = [16]
    second = {"0.bias": {"saved_offsets": [8], "shape": [16]}}

    def write(number: int, tensors: dict[str, torch.Tensor], places: Any) -> None:
        file = folder / f"a.shard-{number:05}.safetensors"
        safetensors.torch.save_file(tensors, file, {"DCP_SHARDING_INFO": json.dumps(places)})

    def read(places: Any) -> None:
        for number, tensors in enumerate((TENSORS, {"0.bias": torch.ones(8)})):
            write(number, tensors, places.get(str(number)))
        read_content(folder / "a.safetensors")

    return changed({"0": first, "1": second}), read


def old_checkpoint(folder: Path, run: Run) -> Inputs:
    for name in ("models", "training_state"):
        (folder / name).mkdir()
    for name, network in run.networks.items():
        torch.save(network.state_dict(), folder / "models" / f"3_{name}.pth")
    optimizers = [step.update.optimizer.state_dict() for step in run.steps if step.update is not None]
    value = {"iter": 3, "epoch": 0, "optimizers": optimizers, "schedulers": []}

    def read(value: Any) -> None:
        torch.save(value, folder / "training_state" / "3.state")
        restore_old(run, folder / "training_state" / "3.state")

    return changed(value), read


def lock(folder: Path) -> Inputs:
    def read(data: bytes) -> None:
        (folder / run_lock.FILE).write_bytes(data)
        with (folder / run_lock.FILE).open("rb") as held:
            fcntl.flock(held, fcntl.LOCK_EX)
            run_lock.lock_folder(folder)

    return damaged(json.dumps(LOCK).encode()), read


KINDS: dict[str, Callable[[Path, Run, Path], Inputs]] = {
    "config_text": lambda folder, run, saved: config_text(folder),
    "config_tree": lambda folder, run, saved: config_tree(folder),
    "manifest": lambda folder, run, saved: manifest(saved, run),
    "state": lambda folder, run, saved: state(saved, run),
    "tensors_of_a_checkpoint": lambda folder, run, saved: tensors_of_a_checkpoint(saved, run),
    "weights": lambda folder, run, saved: weights(folder),
    "pickled_weights": lambda folder, run, saved: pickled_weights(folder),
    "index_of_weights": lambda folder, run, saved: index_of_weights(folder),
    "shards": lambda folder, run, saved: shards(folder),
    "old_checkpoint": lambda folder, run, saved: old_checkpoint(folder, run),
    "lock": lambda folder, run, saved: lock(folder),
}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("profile", [few, pytest.param(many, marks=pytest.mark.soak)], ids=["few", "many"])
def test_whatever_a_file_contains_it_is_read_or_refused(
    kind: str, profile: settings, run: Run, saved: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With 2000 inputs it takes minutes."""
    monkeypatch.setattr("time.sleep", lambda seconds: None)
    (tmp_path / "inputs").mkdir()
    inputs, read = KINDS[kind](tmp_path / "inputs", run, saved)

    @profile
    @given(inputs)
    def check(value: Any) -> None:
        read_or_refused(lambda: read(value))

    check()
