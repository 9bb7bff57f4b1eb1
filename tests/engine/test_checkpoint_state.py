"""A part that is left out of a checkpoint, or is of another kind, is refused by its name."""

from __future__ import annotations

import json
import shutil
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch

from artschool.engine.checkpoint_state import DataSizes, OptimizerDescription, ScalerState, State, UpdateState
from artschool.engine.restore_run import restore, restore_networks
from artschool.engine.run import Run
from artschool.errors import CheckpointError
from artschool.storage import checkpoint_files
from tests.engine.sealed import rich_run, seal, with_state

FILES = ["gen", "critic", "gen.ema", "state.components", "state.optimizers"]
DEEPER = [
    *(("data", part) for part in DataSizes.model_fields),
    *(("updates", "critic", part) for part in UpdateState.model_fields),
    *(("optimizers", "gen", part) for part in OptimizerDescription.model_fields),
    ("optimizers", "gen"),
    ("decisions", "train.stop", "metric"),
    ("decisions", "train.stop", "count"),
    ("decisions", "steps.gen.schedule.0", "reductions"),
    ("streams", "train"),
]


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """A run that has finished. What is refused leaves it as it is."""
    return rich_run(tmp_path_factory.mktemp("rich"))


@pytest.fixture
def folder(run: Run, tmp_path: Path) -> Path:
    """A copy of its checkpoint after 3 iterations."""
    return Path(shutil.copytree(run.store.path(3), tmp_path / "00000003"))


def refused(run: Run, folder: Path) -> str:
    with pytest.raises(CheckpointError) as error:
        restore(run, checkpoint_files.load(folder))
    assert error.value.exit_code == 6
    return str(error.value)


def test_the_run_fills_every_part(run: Run) -> None:
    state = run.store.load(3).state
    assert state.keys() == State.model_fields.keys()
    empty = {part for part, value in state.items() if value in (None, {}, [])}
    assert empty <= {"built_buffers", "optimizer_scalars", "error", "pieces"}
    assert sorted(state["tensors"]) == sorted(FILES)


@pytest.mark.parametrize("part", State.model_fields)
def test_a_part_that_is_left_out_is_named(run: Run, folder: Path, part: str) -> None:
    with_state(folder, lambda state: state.pop(part))
    expected = (
        f"checkpoint {folder}: state.json: missing part {part!r}. Fix: resume from another checkpoint with --resume, "
        "or start a new run in another folder with --run-dir"
    )
    assert refused(run, folder) == expected
    with pytest.raises(CheckpointError, match=f"missing part '{part}'"):
        restore_networks(run, checkpoint_files.load(folder))


@pytest.mark.parametrize("path", DEEPER, ids=".".join)
def test_a_part_of_a_part_that_is_left_out_is_named(run: Run, folder: Path, path: tuple[str, ...]) -> None:
    def drop(state: dict[str, Any]) -> None:
        for key in path[:-1]:
            state = state[key]
        del state[path[-1]]

    with_state(folder, drop)
    assert path[-1] in refused(run, folder) or path[0] in refused(run, folder)


@pytest.mark.parametrize("part", [field.alias or part for part, field in ScalerState.model_fields.items()])
def test_a_part_of_the_scale_of_a_loss_that_is_left_out_is_named(run: Run, folder: Path, part: str) -> None:
    scaler = torch.amp.GradScaler("cpu").state_dict()
    del scaler[part]
    with_state(folder, lambda state: state["updates"]["critic"].update(precision=scaler))
    assert f"state.json: missing part 'updates.critic.precision.{part}'. Fix" in refused(run, folder)


@pytest.mark.parametrize("stem", FILES)
def test_a_file_that_is_left_out_is_named(run: Run, folder: Path, stem: str) -> None:
    (folder / f"{stem}.safetensors").unlink()
    seal(folder)
    missing = f"missing part '{stem}.safetensors'"
    if stem == "state.optimizers":  # As `checkpoint.state: last` leaves older checkpoints.
        missing = "has weights without the state of optimizers, because of `checkpoint.state: last`"
    assert f"checkpoint {folder}: {missing}. Fix: resume" in refused(run, folder)


def test_a_file_that_was_not_saved_is_named(run: Run, folder: Path) -> None:
    shutil.copy(folder / "gen.safetensors", folder / "other.safetensors")
    seal(folder)
    assert "unknown part 'other.safetensors'" in refused(run, folder)


def test_a_part_of_a_later_version_says_which_one_to_install(run: Run, folder: Path) -> None:
    with_state(folder, lambda state: state.update(later=1))
    seal(folder, versions={"artschool": "4.2"})
    assert "state.json: unknown part 'later'. Fix: install artschool 4.2, which saved the checkpoint" in refused(
        run, folder
    )


WRONG = [
    ("iteration", "3"),
    ("iteration", 3.0),
    ("iteration", True),
    ("iteration", -1),
    ("iteration", 2**60),
    ("iteration", 4),
    ("world_size", 2),
    ("seconds", float("nan")),
    ("best", [1.0]),
    ("best", [1.0, 2, 3]),
    ("pending", 1),
    ("meters", []),
    ("meters", [{"x": [1.0]}]),
    ("streams", {"train": 3, "other": 4}),
    ("updates", {"gen": {"count": 1}}),
    ("built_buffers", {"gen": {"1.running_mean": 3}}),
    ("config", [1]),
    ("tensors", {}),
]


@pytest.mark.parametrize(("part", "value"), WRONG, ids=str)
def test_a_value_of_another_kind_is_refused_by_name(run: Run, folder: Path, part: str, value: Any) -> None:
    with_state(folder, lambda state: state.update({part: value}))
    assert refused(run, folder).startswith(f"checkpoint {folder}: ") or "state.json" in refused(run, folder)


@pytest.mark.parametrize("text", ["[" * 100_000, '{"a":' * 100_000, "NaN", "[]", '{"a": {"$float": "x"}}', "", "\xff"])
def test_json_that_is_no_state_is_refused(run: Run, folder: Path, text: str) -> None:
    (folder / "state.json").write_text(text, encoding="latin-1")
    seal(folder)
    assert refused(run, folder).startswith(f"{folder / 'state.json'}: cannot read: ")


def test_what_an_optimizer_keeps_beside_tensors_must_be_of_its_kind(run: Run, folder: Path) -> None:
    for name, value in (("gen/group:0/params", [1]), ("gen/group:0/betas", "x"), ("gen/group:x/y", 1)):
        with_state(folder, partial(dict.update, optimizer_scalars={name: value}))
        assert "damaged" in (text := refused(run, folder)) or "has a value of another kind" in text


def test_the_state_is_strict_json(folder: Path) -> None:
    state = json.loads((folder / "state.json").read_bytes(), parse_constant=pytest.fail)
    assert state["iteration"] == 3
