"""`artschool doctor`: each fault of a machine or a run folder is a finding that says what to do."""

from __future__ import annotations

import json
import os
import resource
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest
import torch
from click.testing import CliRunner

from artschool.cli.main import cli
from artschool.config.origin import read_origin
from artschool.config.source import read_file
from artschool.diagnose import machine, run_folder
from artschool.diagnose.doctor import doctor
from artschool.diagnose.finding import Finding
from artschool.engine import checkpoint
from artschool.engine.data_examples import read_data_examples
from artschool.errors import CheckpointError, ConfigError
from artschool.logs.jsonl import JsonlLogger
from artschool.storage import checkpoint_files
from artschool.storage.checkpoint_files import Manifest
from tests.engine import toy_parts


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("trained")
    run, _ = toy_parts.load(folder, "checkpoint={every: 2, keep_last: 2}")
    run.loggers = [JsonlLogger()]
    return run.train().folder


@pytest.fixture
def folder(trained: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(trained, tmp_path / "run"))


def found(folder: Path, check: str) -> list[Finding]:
    return [finding for finding in doctor(folder) if finding.check == check]


def problems(folder: Path, check: str) -> list[str]:
    return [f"{each.text}. Fix: {each.fix}" for each in found(folder, check) if each.fix]


def make_pipe(file: Path) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.unlink(missing_ok=True)
    os.mkfifo(file)


@contextmanager
def without_a_wait() -> Iterator[None]:
    before = signal.signal(signal.SIGALRM, lambda *_: pytest.fail("waits for the pipe"))
    signal.alarm(20)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


def test_nothing_is_wrong_with_a_run_that_is_sound(folder: Path) -> None:
    said = {finding.check: finding for finding in doctor(folder)}
    own = ("lock", "checkpoint", "progress", "disk", "log")
    assert [said[check].fix for check in own] == ["", "", "", "", ""]
    assert said["lock"].text == "nobody trains in the folder"
    assert said["checkpoint"].text == "intact and finite: 00000002, 00000004"
    assert said["progress"].text == "4 of 4 iterations are saved"
    assert said["log"].text == "metrics.jsonl: 4 log points, up to iteration 3"
    assert f"torch {torch.__version__}" in said["versions"].text
    assert not said.keys() & {"run", "incident"}


@pytest.mark.parametrize(
    "name",
    [
        "incidents/00000001-nan/incident.json",
        "metrics.jsonl",
        "starts.jsonl",
        "run.json",
        "run.lock",
        "data_examples.json",
        "checkpoints/00000004/state.json",
    ],
)
def test_a_pipe_in_place_of_a_file_is_not_waited_for(folder: Path, name: str) -> None:
    make_pipe(folder / name)
    with without_a_wait():
        doctor(folder)
        for arguments in (["runs", str(folder)], ["show", str(folder), "--save", str(folder.parent / "page.html")]):
            assert CliRunner().invoke(cli, arguments).exit_code == 0
        read_origin(folder)
        with suppress(CheckpointError):
            read_data_examples(folder)


@pytest.mark.parametrize("name", ["config.yml", "resolved.yml"])
def test_a_pipe_in_place_of_the_file_of_a_run_is_a_fault(folder: Path, name: str) -> None:
    make_pipe(folder / name)
    with without_a_wait(), pytest.raises(ConfigError) as error:
        read_file(folder / name)
    assert str(error.value) == f"{folder / name}: cannot be read: not a regular file"


def test_a_pipe_of_the_shell_is_read(tmp_path: Path) -> None:
    make_pipe(tmp_path / "config.yml")  # As `artschool check <(...)` gives one.
    with without_a_wait(), ThreadPoolExecutor() as pool:
        pool.submit((tmp_path / "config.yml").write_text, "name: x")
        assert read_file(tmp_path / "config.yml").plain() == {"name": "x"}


def test_a_folder_without_a_run_is_a_finding(tmp_path: Path) -> None:
    assert "no run has trained in it. Fix: name a run folder" in problems(tmp_path, "run")[0]
    assert "not a folder" in problems(tmp_path / "none", "run")[0]
    for nothing in (tmp_path, tmp_path / "none"):  # There is no lock and no checkpoint that could be in order.
        of_machine = {finding.check for finding in doctor(None)}
        assert {finding.check for finding in doctor(nothing)} - of_machine == {"run"}


KILLED = """
import os, signal, sys
from pathlib import Path
from artschool.logs.jsonl import JsonlLogger
from artschool.storage.checkpoint_files import Manifest
from artschool.storage.checkpoint_store import CheckpointStore
from tests.engine import toy_parts

run, _ = toy_parts.load(Path(sys.argv[1]), "checkpoint={every: 2}")
run.loggers = [JsonlLogger()]
run.update_hooks.append(lambda iteration, folder: os.kill(os.getpid(), signal.SIGKILL) if iteration == 3 else [])
run.train()
"""


def test_a_run_that_was_killed_is_a_finding_as_in_the_list_of_runs(tmp_path: Path) -> None:
    root = Path(__file__).parents[2]
    path = os.pathsep.join((str(root), str(root / "src")))
    killed = subprocess.run(
        [sys.executable, "-c", KILLED, str(tmp_path)], check=False, cwd=root, env={**os.environ, "PYTHONPATH": path}
    )
    assert killed.returncode == -signal.SIGKILL
    (lock,) = tmp_path.rglob("run.lock")
    assert problems(lock.parent, "end") == [
        "the run has ended without finishing, after 3 of 4 iterations: killed. "
        "Fix: run the same command again, which resumes from the newest checkpoint. "
        "If nobody has killed it, memory may have run out: look for `oom` in what `dmesg` prints"
    ]
    lock.unlink()  # As after a signal.
    assert found(lock.parent, "end") == [Finding("end", "stopped after 3 of 4 iterations; the same command resumes it")]


def test_the_process_that_trains_is_named_unless_it_has_ended(folder: Path) -> None:
    owner = {"pid": os.getppid(), "host": socket.gethostname(), "start": "2026-01-02 03:04:05 UTC"}
    (folder / "run.lock").write_text(json.dumps(owner))
    assert found(folder, "lock")[0].text.startswith(f"in use by process {os.getppid()} on {socket.gethostname()}, ")
    child = os.fork()
    if not child:
        os._exit(0)
    os.waitpid(child, 0)
    (folder / "run.lock").write_text(json.dumps({**owner, "pid": child}))
    assert found(folder, "lock")[0].text == "nobody trains in the folder"


def test_a_lock_with_the_number_of_no_process_is_left_over(folder: Path) -> None:
    owner = {"pid": 10**30, "host": socket.gethostname(), "start": "2026-01-01"}
    (folder / "run.lock").write_text(json.dumps(owner))
    assert [each.text for each in found(folder, "lock")] == ["nobody trains in the folder"]


def test_each_damaged_checkpoint_is_named_with_the_reason(folder: Path) -> None:
    weights, manifest = folder / "checkpoints/00000004/net.safetensors", folder / "checkpoints/00000002/manifest.json"
    data = bytearray(weights.read_bytes())
    data[-1] ^= 1
    weights.write_bytes(data)
    first = problems(folder, "checkpoint")
    assert len(first) == 1 and f"{weights}: damaged: its SHA-256 differs" in first[0]
    assert first[0].endswith(f"Fix: none is needed: a resume takes {folder / 'checkpoints/00000002'}")
    assert found(folder, "checkpoint")[-1].text == "intact and finite: 00000002"
    manifest.unlink()
    second = problems(folder, "checkpoint")
    assert second[0] == f"{manifest}: missing. Fix: restore it from a copy"
    assert second[-1].startswith("none is sound. Fix: train again in another folder")


def test_a_checkpoint_that_a_training_deletes_meanwhile_is_no_finding(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    looks = 0
    verify = checkpoint_files.verify

    def deleted(path: Path) -> Manifest:
        nonlocal looks
        looks += 1
        if looks == 1:
            shutil.rmtree(path)
        return verify(path)

    monkeypatch.setattr(checkpoint_files, "verify", deleted)
    monkeypatch.setattr(run_folder, "holder", lambda folder: "process 17")
    assert [each.text for each in found(folder, "checkpoint")] == ["intact and finite: 00000004"]
    (folder / "checkpoints/00000004/manifest.json").unlink()
    assert problems(folder, "checkpoint")[-1].startswith("none is sound")


def test_checkpoints_that_are_renamed_are_found(folder: Path) -> None:
    shutil.rmtree(folder / "checkpoints/00000002")
    renamed = (folder / "checkpoints/00000004").rename(folder / "checkpoints/4")
    fix = "rename it to its number of iterations, such as 00000300"
    assert problems(folder, "checkpoint") == [
        f"{renamed}: contains a checkpoint, but has not the name of one. Fix: {fix}"
    ]


def test_weights_that_are_nan_or_infinite_are_found_and_a_mask_is_not(tmp_path: Path) -> None:
    run, _ = toy_parts.load(tmp_path)
    run.networks["net"].register_buffer("mask", torch.tensor([0.0, float("-inf")]))
    run.iteration = 1
    checkpoint.save(run)
    assert problems(run.folder, "checkpoint") == []
    with torch.no_grad():
        run.networks["net"].weight.fill_(float("nan"))  # type: ignore[operator]  # a Tensor
    run.iteration = 2
    checkpoint.save(run)
    (problem,) = problems(run.folder, "checkpoint")
    assert "00000002: net: weight and 0 more contain NaN or infinity. Fix: artschool train FILE --resume" in problem


def test_checkpoints_that_do_not_fit_on_the_disk_are_found(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine, "free_bytes", lambda path: 100)
    (problem,) = problems(folder, "disk")
    assert problem.startswith(f"{folder}: 100 bytes free; 1 more checkpoint of ")
    assert "Fix: free " in problem


def test_gaps_repetitions_and_numbers_that_are_nan_are_found_in_the_log(folder: Path) -> None:
    file = folder / "metrics.jsonl"
    lines = [json.dumps({"iteration": iteration, "a": 1.0}) for iteration in (0, 1, 2, 5, 6, 6)]
    file.write_text("\n".join([*lines, '{"iteration": 7, "a": "NaN"}', '{"iter']))
    gap, repeated, bad = problems(folder, "log")
    assert gap.startswith("metrics.jsonl: 1 gaps, the first after iteration 2. Fix: ")
    assert repeated.startswith("metrics.jsonl: 1 repeated log points, 1 lines that are none. Fix: resume the run")
    assert bad.startswith("a is NaN or infinite. Fix: ")


def test_the_last_incident_is_named_with_the_command_that_repeats_it(folder: Path) -> None:
    for number, kind in enumerate(("spike", "nan")):
        path = folder / "incidents" / f"00000003-{kind}"
        path.mkdir(parents=True)
        (path / "incident.json").write_text(json.dumps({"kind": kind, "iteration": 3, "error": "what\nwhere"}))
        os.utime(path / "incident.json", (number, number))
    assert problems(folder, "incident") == [
        f"00000003-nan: nan in iteration 3: what. Fix: artschool replay {path}, then delete the folder"
    ]
    (path / "incident.json").write_text("{")
    assert "cannot be read" in problems(folder, "incident")[0]


def test_a_file_from_the_future_is_found(folder: Path) -> None:
    later = time.time() + 7200
    os.utime(folder / "metrics.jsonl", (later, later))
    assert "seconds in the future. Fix: set the clocks" in problems(folder, "clock")[0]


def test_a_low_limit_of_open_files_is_found() -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (512, hard))
    try:
        (finding,) = machine.open_files()
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert finding.text == "a process may open 512 files" and finding.fix.startswith("ulimit -n ")


def test_little_shared_memory_is_found_where_several_gpus_need_it(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(machine, "SHARED_MEMORY", tmp_path)
    monkeypatch.setattr(machine, "LEAST_SHARED_MEMORY", 10**18)
    for gpus in (1, 2):
        monkeypatch.setattr(torch.cuda, "device_count", lambda gpus=gpus: gpus)
        (finding,) = machine.shared_memory()
        assert ("--shm-size=8g" in finding.fix) == (gpus == 2)


def test_a_check_that_fails_hides_no_other(folder: Path) -> None:
    (folder / "metrics.jsonl").unlink()
    (folder / "metrics.jsonl").mkdir()
    (finding,) = found(folder, "log")
    assert finding.text.startswith("cannot be checked: IsADirectoryError") and finding.fix
    assert found(folder, "checkpoint")[0].fix == ""


def test_the_command_ends_with_1_if_something_is_wrong(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("artschool.diagnose.doctor.MACHINE", ())
    done = CliRunner().invoke(cli, ["doctor", str(folder)])
    assert done.exit_code == 0, done.output
    assert done.output.splitlines()[-1] == "nothing is wrong"
    (folder / "checkpoints/00000004/state.json").unlink()
    done = CliRunner().invoke(cli, ["doctor", str(folder)])
    assert done.exit_code == 1
    assert "problem  checkpoint" in done.output and done.output.splitlines()[-1] == "1 problem"
    as_json = CliRunner().invoke(cli, ["doctor", str(folder), "--json"])
    assert as_json.exit_code == 1
    assert [each["check"] for each in json.loads(as_json.output) if each["fix"]] == ["checkpoint"]
