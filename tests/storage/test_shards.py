"""Tensors that are divided among files, without processes: what two of them write is read as a whole."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from artschool.errors import CheckpointError
from artschool.storage.checkpoint_files import FileRecord
from artschool.storage.checkpoint_store import CheckpointStore
from artschool.storage.recorded_files import write_parts
from artschool.storage.shards import Place, Shards, region, shard_files, shard_stem, stem_of
from artschool.storage.tensors import read_content

WEIGHT = torch.arange(15.0).reshape(5, 3)
STATE = {"iteration": 1}


def parts_of(rank: int) -> tuple[dict[str, dict[str, Tensor]], dict[str, dict[str, Place]]]:
    """Rank 0 has three rows of a weight and a whole buffer, rank 1 the rest."""
    stem, rows = shard_stem("gen", rank), slice(0, 3) if rank == 0 else slice(3, 5)
    values, places = {"weight": WEIGHT[rows]}, {"weight": Place((rows.start, 0), (5, 3))}
    if rank == 0:
        values["count"], places["count"] = torch.tensor(7), Place((), ())
    return {stem: values, shard_stem("other", rank): {}}, {stem: places}


def others(folder: Path) -> dict[str, FileRecord]:
    return write_parts(folder, *parts_of(0)) | write_parts(folder, *parts_of(1))


def save(store: CheckpointStore, number: int) -> Path:
    tensors = {"critic": {"bias": torch.ones(2)}}
    with store.draft(number) as draft:
        draft.write(tensors, STATE)
        draft.records |= others(draft.folder)
        draft.finish(config_hash="", world_size=2)
    return store.path(number)


@pytest.fixture
def store(tmp_path: Path) -> CheckpointStore:
    return CheckpointStore(tmp_path / "checkpoints")


@pytest.mark.parametrize("mapped", [False, True])
def test_parts_are_read_as_the_tensors_that_they_make(store: CheckpointStore, mapped: bool) -> None:
    path = save(store, 1)
    names = {"critic.safetensors", "gen.shard-00000.safetensors", "gen.shard-00001.safetensors"}
    assert {file.name for file in path.iterdir()} == {*names, "state.json", "manifest.json"}
    found = store.load(1, mapped=mapped)
    assert found.tensors["critic"]["bias"].tolist() == [1, 1]
    assert found.tensors["gen"]["count"].item() == 7
    weight = found.shards["gen"]["weight"]
    assert torch.equal(weight.whole(), WEIGHT) and weight.dtype == torch.float32
    assert found.saved("gen").keys() == {"weight", "count"}
    parts = sorted(path / name for name in names if name.startswith("gen"))
    assert shard_files(path / "gen.safetensors") == shard_files(parts[1]) == parts
    assert shard_files(path / "critic.safetensors") == []


def test_a_checkpoint_with_parts_is_amended_and_rotated_like_any(store: CheckpointStore) -> None:
    for number in (1, 2, 3):
        save(store, number)
    store.amend(3, {"pending": False})
    found = store.load(3)
    assert found.state == {"iteration": 1, "pending": False}
    assert torch.equal(found.shards["gen"]["weight"].whole(), WEIGHT)
    assert store.rotate([], keep_last=1) == [1, 2]
    assert [path.name for path in store.folder.iterdir()] == ["00000003"]


def test_a_failure_of_the_others_leaves_nothing(store: CheckpointStore) -> None:
    save(store, 1)
    with pytest.raises(CheckpointError, match="rank 1"), store.draft(2) as draft:
        others(draft.folder)
        raise CheckpointError("rank 1 could not save the checkpoint: full")
    assert [path.name for path in store.folder.iterdir()] == ["00000001"]


@pytest.mark.parametrize(
    ("change", "text"),
    [
        (lambda data: None, r"gen.shard-00001.safetensors: missing"),
        (lambda data: data[:-1], r"gen.shard-00001.safetensors: damaged: wrong size"),
        (lambda data: data[:-1] + b"!", r"gen.shard-00001.safetensors: damaged: its SHA"),
    ],
)
def test_damage_in_a_part_is_named_and_an_older_checkpoint_taken(
    store: CheckpointStore, change: Callable[[bytes], bytes | None], text: str
) -> None:
    save(store, 1)
    file = save(store, 2) / "gen.shard-00001.safetensors"
    data = change(file.read_bytes())
    file.unlink()
    if data is not None:
        file.write_bytes(data)
    messages: list[str] = []
    assert store.newest_valid(messages.append) == 1
    with pytest.raises(CheckpointError, match=text):
        store.load(2)
    assert len(messages) == 1


@pytest.mark.parametrize("name", ["gen.safetensors", "gen.shard-00000.safetensors", "gen.shard-00001.safetensors"])
def test_a_weights_file_is_read_from_all_parts(store: CheckpointStore, name: str) -> None:
    content = read_content(save(store, 1) / name)
    assert torch.equal(content["weight"], WEIGHT) and content["count"].item() == 7


def test_a_weights_file_lacks_a_part(store: CheckpointStore) -> None:
    path = save(store, 1)
    (path / "gen.shard-00000.safetensors").unlink()
    with pytest.raises(CheckpointError, match=r"weight: parts are missing \(expected 15 elements, got 6\)"):
        read_content(path / "gen.safetensors")
    with pytest.raises(CheckpointError, match=r"none.safetensors: file does not exist"):
        read_content(path / "none.safetensors")


def test_the_advice_for_a_folder_names_no_parts(store: CheckpointStore) -> None:
    with pytest.raises(CheckpointError, match=r"critic.safetensors, gen.safetensors$"):
        read_content(save(store, 1))


def test_each_file_is_a_safetensors_file(store: CheckpointStore) -> None:
    file = save(store, 1) / "gen.shard-00001.safetensors"
    assert torch.equal(load_file(file)["weight"], WEIGHT[3:])


def test_a_region_is_put_together_from_the_parts_that_it_meets() -> None:
    full = torch.arange(60.0).reshape(6, 10)
    shards = Shards((6, 10), [((0, 0), full[:4, :7]), ((0, 7), full[:4, 7:]), ((4, 0), full[4:])])
    assert torch.equal(shards.whole(), full)
    for saved in (shards, full):
        assert torch.equal(region(saved, (1, 5), (4, 4)), full[1:5, 5:9])
        assert region(saved, (6, 0), (0, 10)).shape == (0, 10)


def test_names_of_files() -> None:
    assert stem_of(f"{shard_stem('gen.ema', 12)}.safetensors") == "gen.ema"
    assert stem_of("gen.ema.safetensors") is None


@pytest.mark.parametrize(
    ("offsets", "shape"), [([0], [4]), ([3], [4]), ([2, 0], [4]), ([2], [5]), ([-1], [4]), (["2"], [4])], ids=str
)
def test_parts_that_do_not_fit_together_are_refused(tmp_path: Path, offsets: list[object], shape: list[int]) -> None:
    for number, place in enumerate(({"saved_offsets": [0], "shape": [4]}, {"saved_offsets": offsets, "shape": shape})):
        info = {"DCP_SHARDING_INFO": json.dumps({"a": place})}
        save_file({"a": torch.ones(2)}, tmp_path / f"w.shard-{number:05}.safetensors", info)
    with pytest.raises(CheckpointError, match=r"w\.shard-00000\.safetensors: cannot read: "):
        read_content(tmp_path / "w.safetensors")
