"""`artschool runs`: what a run folder says about its run, whatever has happened to it."""

from __future__ import annotations

import json
import os
import socket
import time
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from artschool.cli.main import cli
from artschool.errors import ConfigError
from artschool.show.folder import find_runs, size_of
from artschool.storage.run_lock import FILE as LOCK_FILE
from artschool.storage.run_lock import STALE_S, is_held, lock_folder
from tests.engine import toy_parts
from tests.show.made import add_lines, incident, make_run, record, save, start


def listed(*arguments: Any) -> str:
    result = CliRunner().invoke(cli, ["runs", *map(str, arguments)], catch_exceptions=False)
    assert result.exit_code == 0
    return result.output


def of(folder: Path) -> dict[str, Any]:
    (found,) = json.loads(listed(folder, "--json"))
    assert isinstance(found, dict)
    return found


def killed_lock(folder: Path, host: str = "") -> None:
    """What a killed process leaves."""
    own = {"pid": 2**22 + 1, "host": host or socket.gethostname(), "start": "then", "process": "1"}
    (folder / LOCK_FILE).write_text(json.dumps(own))


def test_each_run_is_a_line_of_80_columns(tmp_path: Path) -> None:
    make_run(tmp_path / "runs" / "base")
    make_run(tmp_path / "runs" / "study" / "a", 60, pace=2.0)
    table = listed(tmp_path / "runs").splitlines()
    assert [line.split()[:5] for line in table] == [
        ["run", "state", "iteration", "speed", "size"],
        ["study/a", "stopped", "60/100", "2", "s"],
        ["base", "finished", "100/100", "2/s", table[2].split()[4]],
    ]
    assert table[1].endswith("held/psnr 24.98 at 60")
    assert max(map(len, table)) <= 80


def test_a_run_that_trains_lives_and_says_what_is_left(tmp_path: Path) -> None:
    folder = make_run(tmp_path / "run", 60)
    lock = lock_folder(folder)
    found = of(folder)
    assert (found["state"], found["lives"], found["iteration"], found["iterations"]) == ("trains", True, 60, 100)
    assert (found["speed"], found["seconds_left"]) == (2.0, 20.0)
    del lock
    assert (of(folder)["state"], of(folder)["lives"]) == ("stopped", False)


def test_a_run_of_another_host_lives_as_long_as_it_touches_its_lock(tmp_path: Path) -> None:
    folder = make_run(tmp_path / "run", 60)
    killed_lock(folder, "elsewhere")
    assert is_held(folder)
    past = time.time() - STALE_S - 1
    os.utime(folder / LOCK_FILE, (past, past))
    assert not is_held(folder)
    assert (of(folder)["state"], of(folder)["detail"]) == ("dead", "killed")


def test_a_killed_run_is_dead(tmp_path: Path) -> None:
    folder = make_run(tmp_path / "run", 60)
    killed_lock(folder)
    assert (of(folder)["state"], of(folder)["detail"]) == ("dead", "killed")


def test_a_run_that_an_error_has_ended_is_dead_until_it_is_resumed(tmp_path: Path) -> None:
    folder = make_run(tmp_path / "run", 60)
    incident(folder, "nan", 30, "an update was skipped")
    assert of(folder)["state"] == "stopped"
    incident(folder, "error", 60, "RuntimeError: no such file\nmore")
    assert of(folder)["detail"] == "error in iteration 60: RuntimeError: no such file"
    assert of(folder)["state"] == "dead"
    assert (
        listed(folder)
        .splitlines()[1]
        .endswith("held/psnr 24.98 at 60; error in iteration 60: RuntimeError: no such file")
    )
    save(folder, 80)
    assert of(folder)["state"] == "stopped"


def test_the_best_value_follows_the_mode_of_keep_best(tmp_path: Path) -> None:
    smaller = {"keep_best": {"metric": "held/psnr", "mode": "min"}}
    assert of(make_run(tmp_path / "max"))["best"]["iteration"] == 60
    assert of(make_run(tmp_path / "min", checkpoint=smaller))["best"]["iteration"] == 20
    last = of(make_run(tmp_path / "none", checkpoint={"keep_best": None}))["best"]
    assert (last["name"], last["iteration"], last["is_last"]) == ("held/psnr", 100, True)
    assert of(make_run(tmp_path / "unmeasured", evaluate={}, checkpoint={}))["best"] is None


def test_a_training_that_stops_early_is_finished(tmp_path: Path) -> None:
    folder = make_run(tmp_path / "run", 60)
    save(folder, 80, 80)  # What `train.stop` leaves.
    assert (of(folder)["state"], of(folder)["iterations"]) == ("finished", 80)


def test_a_longer_training_is_finished_when_it_has_all_iterations(tmp_path: Path) -> None:
    folder = make_run(tmp_path / "run")
    assert of(folder)["state"] == "finished"
    add_lines(folder / "starts.jsonl", start(100, 200))
    assert (of(folder)["state"], of(folder)["iterations"]) == ("stopped", 200)
    add_lines(folder / "metrics.jsonl", record(100))
    assert (of(folder)["state"], of(folder)["iteration"], of(folder)["iterations"]) == ("stopped", 101, 200)


@pytest.mark.parametrize(
    "name", ["run.json", "starts.jsonl", "metrics.jsonl", "config.yml", "checkpoints/00000100/state.json"]
)
@pytest.mark.parametrize("damage", ["bytes", "folder", "empty"])
def test_a_damaged_file_hides_only_itself(tmp_path: Path, name: str, damage: str) -> None:
    folder = make_run(tmp_path / "run")
    (folder / name).unlink()
    if damage == "folder":
        (folder / name).mkdir()
    else:
        (folder / name).write_bytes(b"\xff\x00{[\n" if damage == "bytes" else b"")
    found = of(folder)
    assert found["iteration"] == 100
    assert found["state"] == ("stopped" if "state.json" in name else "finished")


def test_a_folder_of_which_nothing_can_be_read_is_damaged(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "metrics.jsonl").write_bytes(b"\xff\n\xff\n")
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / "checkpoints").write_bytes(b"")
    found = {each["name"]: (each["state"], each["detail"]) for each in json.loads(listed(tmp_path, "--json"))}
    assert found == {
        "a": ("damaged", "metrics.jsonl: 2 lines are no records"),
        "b": ("damaged", "checkpoints: cannot be read"),
    }


def test_without_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert listed() == "no runs in runs\n"
    assert listed("--json") == "[]\n"
    with pytest.raises(ConfigError, match="nowhere: not a folder"):
        listed("nowhere")


def test_twenty_runs_are_sorted_by_what_needs_a_look(tmp_path: Path) -> None:
    for index in range(20):
        folder = make_run(tmp_path / f"trial-{index:02}", 100 if index % 4 else 60)
        os.utime(folder / "metrics.jsonl", (index, index))
        for name in ("run.json", "starts.jsonl", "checkpoints"):
            os.utime(folder / name, (index, index))
    killed_lock(tmp_path / "trial-08")
    lines = listed(tmp_path).splitlines()[1:]
    assert [line.split()[1] for line in lines] == ["dead", *["stopped"] * 4, *["finished"] * 15]
    assert [line.split()[0] for line in lines[:3]] == ["trial-08", "trial-16", "trial-12"]


def test_runs_are_named_after_the_way_to_them_and_found_once(tmp_path: Path) -> None:
    make_run(tmp_path / "x" / "same")
    make_run(tmp_path / "y" / "same")
    (tmp_path / "x" / "same" / "pictures" / "metrics.jsonl").write_text("")  # No run within a run.
    found = find_runs([tmp_path / "x" / "same", tmp_path / "y" / "same", tmp_path / "x"])
    assert [run.name for run in found] == [str(tmp_path / "x" / "same"), str(tmp_path / "y" / "same")]


def test_a_file_with_two_names_counts_once(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(bytes(1000))
    (tmp_path / "b").hardlink_to(tmp_path / "a")
    (tmp_path / "loop").symlink_to(tmp_path)
    assert 1000 <= size_of(tmp_path) < 1100


def test_a_run_records_each_start_with_its_settings_and_where_it_ran(tmp_path: Path) -> None:
    run, _ = toy_parts.load(tmp_path, "train.iterations=2")
    folder = run.train().folder
    with (folder / "starts.jsonl").open("a") as file:
        file.write('{"half')  # The power failed.
    longer, _ = toy_parts.load(tmp_path, "train.iterations=3")
    longer.train()
    (found,) = find_runs([folder])
    found.update()
    assert [(each["iteration"], each["iterations"]) for each in found.starts] == [(0, 2), (2, 3)]
    assert [each["settings"]["train"]["iterations"] for each in found.starts] == [2, 3]
    assert found.starts[0]["environment"]["device"] == "cpu"
    assert found.status().state == "finished"
