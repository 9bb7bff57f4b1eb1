"""What is recorded when something goes wrong."""

from __future__ import annotations

import json
import shlex
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from artschool.engine.incidents import record_incident
from artschool.errors import ResourceError
from tests.engine.toy_run import load


def told(path: Path) -> Any:
    return json.loads((path / "incident.json").read_text())


def test_an_exception_is_recorded_with_its_batch_and_the_checkpoint_before(tmp_path: Path) -> None:
    run = load(tmp_path)

    def fail(*_: object) -> None:
        if run.iteration == 7:
            raise RuntimeError("shapes do not fit")

    run.networks["gen"].register_forward_pre_hook(fail)
    with pytest.raises(RuntimeError) as raised:
        run.train()
    [path] = (tmp_path / "run" / "incidents").iterdir()
    assert path.name == "00000007-error"
    assert f"An incident is recorded. To reproduce it: artschool replay {path}" in raised.value.__notes__
    incident = told(path)
    assert (incident["class"], incident["error"]) == ("RuntimeError", "shapes do not fit")
    assert ", in fail\n" in "".join(incident["traceback"])
    indices = [position.sample for position in run.data.batches.whole(7)]
    assert incident["samples"]["train"]["indices"] == indices
    assert incident["samples"]["train"]["names"] == [f"name 'picture {index}'" for index in indices]
    assert load_file(path / "batch.safetensors")["train/lq"].shape == (8, 3, 4, 4)
    assert incident["checkpoint"] == 5
    assert (path / "checkpoint" / "manifest.json").samefile(run.store.path(5) / "manifest.json")
    assert (path / "config.yml").read_text() == (tmp_path / "toy.yml").read_text()


@pytest.mark.parametrize("cause", [torch.OutOfMemoryError("none left"), MemoryError()])
def test_memory_that_ran_out_is_known_by_the_cause_of_an_error(tmp_path: Path, cause: Exception) -> None:
    run = load(tmp_path)

    def fail(*_: object) -> None:
        raise ValueError("does not fit") from cause

    run.networks["gen"].register_forward_pre_hook(fail)
    with pytest.raises(ResourceError, match=r"steps\.gen: out of memory at iteration 0: (none left|MemoryError)"):
        run.train()
    assert [path.name for path in (tmp_path / "run" / "incidents").iterdir()] == ["00000000-memory"]


def test_the_command_of_a_replay_is_one_for_a_shell(tmp_path: Path) -> None:
    folder = tmp_path / "a run's"
    folder.mkdir()
    run = load(folder)
    error = RuntimeError("broken")
    path = record_incident(run, "error", error)
    command = error.__notes__[0].partition("To reproduce it: ")[2]
    assert shlex.split(command) == ["artschool", "replay", str(path)]


def test_few_incidents_of_a_kind_are_kept(tmp_path: Path) -> None:
    run = load(tmp_path)
    paths = []
    for run.iteration in (3, 3, 4, 5, 6, 7):
        paths.append(record_incident(run, "nan", "skipped"))
    assert [path and path.name[:8] for path in paths] == [
        "00000003",
        "00000003",
        "00000004",
        "00000005",
        "00000006",
        None,
    ]
    assert record_incident(run, "hang", "silent") is not None


def test_a_full_disk_is_told_and_hides_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = load(tmp_path)
    monkeypatch.setenv("ARTSCHOOL_FAULT", "after_write=disk_full")
    assert record_incident(run, "error", ValueError("the true one")) is None
    assert list((tmp_path / "run" / "incidents").iterdir()) == []
