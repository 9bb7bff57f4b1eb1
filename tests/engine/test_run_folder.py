"""Whose folder a run folder is: what others have written is neither overwritten nor written through."""

from __future__ import annotations

import itertools
import json
import os
import shutil
import sys
import threading
from collections.abc import Mapping
from contextlib import chdir
from pathlib import Path
from typing import Any

import pytest

from artschool.config.compose import finish
from artschool.config.plugins import forget_files
from artschool.config.source import read_text
from artschool.config.standalone import standalone_text
from artschool.engine.saving import settle
from artschool.storage import fault_points
from tests.engine import toy_run
from tests.reports.small import artschool as command
from tests.reports.small import one_step


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a finished run of four iterations and two checkpoints."""
    folder = tmp_path_factory.mktemp("trained")
    toy_run.load(folder, "train.iterations=4", "checkpoint.every=2", "log.every=1").train()
    return folder


@pytest.fixture
def copy(trained: Path, tmp_path: Path) -> Path:
    shutil.copytree(trained / "run", tmp_path / "run")
    shutil.copy(trained / "toy.yml", tmp_path)
    return tmp_path


def train(folder: Path, *arguments: str) -> tuple[int, str]:
    return command("train", str(folder / "toy.yml"), "--no-trace", "--run-dir", str(folder / "run"), *arguments)


@pytest.mark.parametrize("gone", ["manifest.json", "state.json", "gen.safetensors"])
def test_a_run_without_an_intact_checkpoint_is_not_started_over(copy: Path, gone: str) -> None:
    for checkpoint in (copy / "run" / "checkpoints").iterdir():
        (checkpoint / gone).unlink()
    before = toy_run.snapshot(copy / "run")
    for _ in range(2):
        code, printed = train(copy)
        assert code == 6
        assert f"{copy / 'run'}: no checkpoint is intact. Nothing was changed. Fix: restore one" in printed
    assert train(copy, "--resume", "never")[0] == 6
    assert toy_run.snapshot(copy / "run") == before


@pytest.mark.parametrize("name", ["4", "00000004.", "00000004 (copy)"])
def test_a_run_whose_checkpoints_are_renamed_is_not_started_over(copy: Path, name: str) -> None:
    checkpoints = copy / "run" / "checkpoints"
    shutil.rmtree(checkpoints / "00000002")
    (checkpoints / "00000004").rename(checkpoints / name)
    before = toy_run.snapshot(copy / "run")
    code, printed = train(copy, "train.iterations=5")
    assert code == 6, printed
    assert f"has the name of a checkpoint, but '{name}' contains one. Nothing was changed. Fix: rename it" in printed
    assert toy_run.snapshot(copy / "run") == before


def test_an_older_checkpoint_with_a_manifest_is_resumed(copy: Path) -> None:
    (copy / "run" / "checkpoints" / "00000004" / "manifest.json").unlink()
    code, printed = train(copy)
    assert code == 0
    assert "warning: skipping checkpoint 4: " in printed
    assert "resuming after iteration 2 from " in printed
    assert [line.partition(",")[0] for line in (copy / "run" / "metrics.jsonl").read_text().splitlines()] == [
        f'{{"iteration": {iteration}' for iteration in range(4)
    ]


def test_another_experiment_of_the_same_name_changes_nothing(copy: Path) -> None:
    before = toy_run.snapshot(copy / "run")
    for changes in (["seed=8"], ["data.train.batch_size=4", "train.iterations=8"], ["networks.gen.width=4"]):
        assert train(copy, *changes)[0] == 6
    assert toy_run.snapshot(copy / "run") == before


@pytest.mark.parametrize("name", ["config.yml", "resolved.yml", "metrics.jsonl", "run.json", "pictures", "checkpoints"])
def test_files_of_others_are_not_overwritten(tmp_path: Path, name: str) -> None:
    toy_run.write(tmp_path, "train.iterations=1")
    (tmp_path / "run").mkdir()
    if name in ("pictures", "checkpoints"):
        (tmp_path / "run" / name).mkdir()
        (tmp_path / "run" / name / "mine.txt").write_text("mine")
    else:
        (tmp_path / "run" / name).write_text("mine")
    before = toy_run.snapshot(tmp_path / "run")
    code, printed = train(tmp_path)
    assert code == 6
    assert f"{tmp_path / 'run'}: already has {name}, which no run has written. Fix: move" in printed
    assert toy_run.snapshot(tmp_path / "run") == before


def test_a_lock_that_no_run_has_written_is_not_overwritten(tmp_path: Path) -> None:
    toy_run.write(tmp_path, "train.iterations=1")
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "run.lock").write_text("mine")
    code, printed = train(tmp_path)
    assert code == 6
    assert "run.lock: no run has written it. Fix: move it" in printed
    assert (tmp_path / "run" / "run.lock").read_text() == "mine"
    (tmp_path / "run" / "run.lock").write_text('{"pid": 12')  # Of a machine that lost its power.
    assert train(tmp_path)[0] == 0


@pytest.mark.parametrize("name", ["metrics.jsonl", "plan.svg", "run.lock", "checkpoints"])
def test_a_folder_in_place_of_a_file_and_the_reverse_are_refused(tmp_path: Path, name: str) -> None:
    """A run without a log would be found too late."""
    toy_run.write(tmp_path, "train.iterations=1")
    (tmp_path / "run").mkdir()
    is_folder = name == "checkpoints"
    (tmp_path / "run" / name).touch() if is_folder else (tmp_path / "run" / name).mkdir()
    code, printed = train(tmp_path)
    assert code == 6, printed
    assert f"{name}: expected a {'folder' if is_folder else 'file'}, which a run writes. Fix: move it" in printed


@pytest.mark.parametrize("content", ["", "\ufffd{", "[" * 100_000])
def test_a_damaged_file_of_the_run_folder_costs_no_resume(copy: Path, content: str) -> None:
    (copy / "run" / "config.yml").write_text(content)
    code, printed = command("train", str(copy / "run" / "resolved.yml"), "--no-trace", "train.iterations=5")
    assert code == 0, printed
    (copy / "run" / "run.json").write_text(content)
    code, printed = train(copy, "train.iterations=6")
    assert code == 0, printed


def test_other_files_in_a_run_folder_are_left_alone(tmp_path: Path) -> None:
    toy_run.write(tmp_path, "train.iterations=1")
    (tmp_path / "run" / "notes").mkdir(parents=True)
    (tmp_path / "run" / "notes" / "log.txt").write_text("mine")
    (tmp_path / "run" / "latest").symlink_to("notes")
    before = toy_run.snapshot(tmp_path / "run")
    code, printed = train(tmp_path)
    assert code == 0
    assert before.items() <= toy_run.snapshot(tmp_path / "run").items()
    said = "no run has trained in this folder, but it has latest, notes, which the run leaves as they are"
    assert printed.count(said) == 1
    assert said not in train(tmp_path, "train.iterations=2")[1]  # It is the folder of a run now.


@pytest.mark.parametrize(
    "name",
    [
        *("config.yml", "metrics.jsonl", "run.lock", "run.json"),
        *("pictures", "pictures/sr", "incidents", "checkpoints", "checkpoints/00000006"),
    ],
)
def test_links_are_not_written_through(copy: Path, name: str) -> None:
    link, target = copy / "run" / name, copy / "elsewhere"
    if link.is_dir():
        shutil.move(link, target)
    elif name.startswith("pictures"):
        target.mkdir()
    else:
        target.write_bytes(link.read_bytes() if link.exists() else b"mine")
    link.unlink(missing_ok=True)
    link.parent.mkdir(exist_ok=True)
    link.symlink_to(target)
    before = toy_run.snapshot(copy)
    code, printed = train(copy, "train.iterations=6", "log.pictures={keys: [sr], every: 1}")
    assert code == 6, printed
    assert "link" in printed
    assert toy_run.snapshot(copy) == before


def test_a_copy_of_hard_links_does_not_change_the_original(copy: Path) -> None:
    """As `cp -al` and many backups make it. The newest checkpoint is gone, so that the logs are cut, too."""
    original, linked = copy / "run", copy / "linked"
    before = toy_run.snapshot(original)
    shutil.copytree(original, linked, copy_function=os.link)
    shutil.rmtree(linked / "checkpoints" / "00000004")
    code, printed = train(copy, "--run-dir", str(linked))
    assert code == 0, printed
    assert "resuming after iteration 2" in printed
    assert toy_run.snapshot(original) == before


def test_a_run_folder_may_itself_be_a_link(tmp_path: Path) -> None:
    toy_run.write(tmp_path, "train.iterations=1")
    (tmp_path / "disk").mkdir()
    (tmp_path / "run").symlink_to("disk")
    assert train(tmp_path)[0] == 0
    assert (tmp_path / "disk" / "checkpoints" / "00000001").is_dir()


def test_the_name_of_a_run_folder_is_shown_as_it_is(tmp_path: Path) -> None:
    toy_run.write(tmp_path, "train.iterations=1")
    code, printed = train(tmp_path, "--run-dir", str(tmp_path / "[red] x[/red]"))
    assert code == 0, printed
    assert f"are in {tmp_path / '[red] x[/red]'}" in printed


def test_a_run_folder_that_safetensors_cannot_open_is_refused(tmp_path: Path) -> None:
    """It writes there, but it could not read the checkpoints again."""
    toy_run.write(tmp_path, "train.iterations=1")
    folder = tmp_path / os.fsdecode(b"r\xff")
    code, printed = train(tmp_path, "--run-dir", str(folder))
    assert code == 5, printed
    assert "the path is not valid UTF-8" in printed
    assert not folder.exists()


def test_a_killed_run_without_a_checkpoint_starts_again(tmp_path: Path) -> None:
    run = toy_run.load(tmp_path, "train.iterations=2", "log.every=1")
    run.update_hooks.append(lambda iteration, folder: [] if iteration == 0 else 1 / 0)
    with pytest.raises(ZeroDivisionError):
        run.train()
    shutil.rmtree(tmp_path / "run" / "checkpoints", ignore_errors=True)
    assert (tmp_path / "run" / "metrics.jsonl").exists()
    assert train(tmp_path, "train.iterations=2")[0] == 0


@pytest.mark.parametrize("background", ["false", "true"])
@pytest.mark.parametrize("is_deleted", [False, True])
def test_a_folder_that_moves_or_goes_while_the_run_writes_is_reported(
    tmp_path: Path, background: str, is_deleted: bool
) -> None:
    run = toy_run.load(
        tmp_path, "train.iterations=6", "checkpoint.every=2", "log.every=1", f"checkpoint.background={background}"
    )
    recorder = toy_run.Recorder()
    run.loggers = [*run.loggers, recorder]

    def lose(iteration: int, folder: Path) -> None:
        if iteration == 3:
            settle(run)  # Not while a checkpoint is being written: that is an error of the disk.
            shutil.rmtree(folder) if is_deleted else folder.rename(tmp_path / "moved")

    run.update_hooks.append(lose)
    run.train()
    (note,) = [note for note in recorder.notes if "moved or deleted" in note]
    assert note.startswith(f"warning: {tmp_path / 'run'}: the run folder was moved or deleted while the run trains")
    assert [path.name for path in sorted((tmp_path / "run" / "checkpoints").iterdir())] == ["00000004", "00000006"]
    code, printed = train(tmp_path, "train.iterations=7")
    assert code == 0, printed
    assert "resuming after iteration 6" in printed
    if not is_deleted:
        assert not (tmp_path / "moved" / "checkpoints" / "00000004").exists()
        with chdir("/"):
            code, printed = command("train", str(tmp_path / "moved" / "config.yml"), "--no-trace", "train.iterations=3")
        assert code == 0, printed
        assert f"resuming after iteration 2 from {tmp_path / 'moved' / 'checkpoints' / '00000002'}" in printed


LEAVES = """
import os

import torch
from torch.utils.data import Dataset

from artschool import datasets, metrics, networks


def leave(when: str) -> None:
    if when == os.environ["LEAVES"]:
        os.chdir("/")


leave("import")


@datasets.register
class Leaving(Dataset):
    def __init__(self) -> None:
        leave("build")

    def __len__(self) -> int:
        return 4

    def __getitem__(self, index: int) -> dict[str, torch.Tensor]:
        leave("sample")
        return {"x": torch.full((1,), float(index))}


@networks.register
def leaving_linear() -> torch.nn.Module:
    return torch.nn.Linear(1, 1)


@metrics.register
def leaving_mean(x: torch.Tensor) -> torch.Tensor:
    leave("metric")
    return x.mean()
"""

LEAVING = one_step("leaving", plugin="leaving.py", data="leaving", network="leaving_linear", loss="mean, in: y")
LEAVING += """
evaluate: {again: {data: train, every: 2, metrics: {mean: {type: leaving_mean, in: x}}}}
log: {every: 1}
checkpoint: {every: 2, keep_last: all}
"""


@pytest.mark.parametrize("when", ["import", "build", "sample", "metric"])
def test_code_that_changes_the_working_folder_moves_no_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, when: str
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("LEAVES", when)
    forget_files()
    Path("leaving.py").write_text(LEAVES)
    Path("leaving.yml").write_text(LEAVING)
    outside = {*Path("/").iterdir()}
    code, printed = command("train", "leaving.yml", "--no-trace", "--run-dir", "leaving run")
    assert code == 0, printed
    assert printed.count("changed the working folder to /. It is") == 1
    assert {*Path("/").iterdir()} == outside
    found = sorted(path.name for path in (tmp_path / "leaving run" / "checkpoints").iterdir())
    assert found == ["00000002", "00000004"]
    code, printed = command("train", "leaving.yml", "--no-trace", "--run-dir", "leaving run")
    assert code == 0
    assert "already finished" in printed


MOMENTS = {
    "first file": ["before_write"],
    "last file": ["before_manifest", "before_write", "after_write"],
    "its rename": ["before_rename"],
    "the log": ["log"],
}
"""The moments at which a folder goes, by the last names that a thread has passed."""


@pytest.mark.parametrize("background", ["false", "true"])
@pytest.mark.parametrize("moment", MOMENTS)
def test_a_folder_that_goes_during_a_save_costs_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, moment: str, background: str
) -> None:
    run = toy_run.load(
        tmp_path, "train.iterations=6", "checkpoint.every=2", "log.every=1", f"checkpoint.background={background}"
    )
    by_thread: dict[int, list[str]] = {}  # The log is written while another thread saves.

    def lose(name: str) -> None:
        if 4 in (run.iteration, run.saver.number) and not (tmp_path / "moved").exists():
            passed = by_thread.setdefault(threading.get_ident(), [])
            passed.append(name)
            if passed[-len(MOMENTS[moment]) :] == MOMENTS[moment]:
                run.folder.rename(tmp_path / "moved")

    class Log(toy_run.Recorder):
        def log(self, record: Mapping[str, Any]) -> None:
            lose("log")

    monkeypatch.setattr(fault_points, "fault_point", lose)
    recorder = Log()
    run.loggers = [*run.loggers, recorder]
    run.train()
    assert (tmp_path / "moved").exists()
    assert [note for note in recorder.notes if "the run folder was moved or deleted while the run trains" in note]
    code, printed = train(tmp_path, "train.iterations=7")
    assert code == 0, printed
    assert "resuming after iteration 6" in printed


def lost_before_call(last: int, folder: Path, background: str) -> bool:
    """Train, and move the run folder before the given call of the system after iteration 4. False: it has fewer."""
    run = toy_run.load(
        folder, "train.iterations=6", "checkpoint.every=2", "log.every=1", f"checkpoint.background={background}"
    )
    calls = itertools.count(1)

    def profile(frame: Any, event: str, function: Any) -> None:
        is_of_files = event == "c_call" and function.__module__ in ("posix", "_io")
        if is_of_files and 4 in (run.iteration, run.saver.number) and next(calls) == last:
            run.folder.rename(folder / "moved")

    threading.setprofile(profile)
    sys.setprofile(profile)
    try:
        run.train()
    finally:
        threading.setprofile(None)
        sys.setprofile(None)
    assert 6 in run.store.numbers()
    return (folder / "moved").exists()


@pytest.mark.soak  # 400 trainings
@pytest.mark.parametrize("background", ["false", "true"])
def test_a_folder_that_goes_before_any_call_of_a_save_costs_nothing(tmp_path: Path, background: str) -> None:
    last = 1
    while lost_before_call(last, tmp_path, background):
        shutil.rmtree(tmp_path / "moved")
        shutil.rmtree(tmp_path / "run")
        last += 1
    assert last > 100


PARTS = '''
from pathlib import Path
import torch
from torch.utils.data import Dataset
from artschool import datasets, networks


@datasets.register
class Tensors(Dataset):
    """The tensor of a file, many times."""

    def __init__(self, *, path: Path) -> None:
        self.value = float(path.read_text())

    def __len__(self) -> int:
        return 16

    def __getitem__(self, index: int) -> dict[str, torch.Tensor]:
        return {"x": torch.full((3, 8, 8), self.value)}


@networks.register
def pixelwise() -> torch.nn.Module:
    return torch.nn.Conv2d(3, 3, 1)
'''
FILE = """
base: shared/base.yml
name: small
data: {train: {type: tensors, path: data/value.txt, batch_size: 4}, val: {type: tensors, path: data/value.txt}}
"""
BASE = """
plugins: [parts.py]
networks: {net: {type: pixelwise}}
steps:
  fit:
    trains: net
    optimizer: {type: sgd, lr: 0.1}
    injectors: {run: {type: forward, network: net, in: x, out: y}}
    losses: {fit: {type: l2, in: [y, x], weight: 1.0}}
train: {iterations: 3, device: cpu}
evaluate:
  held:
    data: val
    injectors: {run: {type: forward, network: net, in: x, out: y}}
    metrics: {psnr: {type: psnr, in: [y, x]}}
"""


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A project with a base, a plugin and data beside it, and a run that was started with overrides."""
    folder = tmp_path / "project"
    for name, text in {
        "shared/base.yml": BASE,
        "shared/parts.py": PARTS,
        "data/value.txt": "0.5",
        "a.yml": FILE,
    }.items():
        (folder / name).parent.mkdir(exist_ok=True, parents=True)
        (folder / name).write_text(text)
    (folder / "data" / "other.txt").write_text("0.25")
    with chdir(folder):
        code, printed = command("train", "a.yml", "--no-trace", "data.train.path=data/other.txt", "train.iterations=2")
    assert code == 0, printed
    return folder


@pytest.mark.usefixtures("registries")
@pytest.mark.parametrize("name", ["config.yml", "resolved.yml"])
@pytest.mark.parametrize("place", ["there", "moved", "copied"])
def test_a_run_is_resumed_from_its_own_files_from_anywhere(
    project: Path, tmp_path: Path, name: str, place: str
) -> None:
    run = project / "runs" / "small"
    if place == "moved":  # The whole project, and with it the run.
        run = project.rename(tmp_path / "moved") / "runs" / "small"
        forget_files()
    elif place == "copied":
        run = Path(shutil.copytree(run, tmp_path / "elsewhere" / "copy"))
    with chdir("/"):
        code, printed = command("eval", str(run / name))
        assert code == 0, printed
        code, printed = command("train", str(run / name), "--no-trace")
        assert code == 0, printed
        assert "already finished (2 of 2 iterations)" in printed
        assert "changed since" not in printed
        code, printed = command("train", str(run / name), "--no-trace", "train.iterations=4")
        assert code == 0, printed
        assert "resuming after iteration 2" in printed
        code, printed = command("train", str(run / name), "--no-trace")
        assert "already finished (4 of 4 iterations)" in printed
    assert (run / "checkpoints" / "00000004").is_dir()
    assert (run / "config.yml").read_text() == FILE
    overrides = json.loads((run / "run.json").read_text())["overrides"]
    assert overrides == ["data.train.path=data/other.txt", "train.iterations=4"]
    assert not Path("/runs").exists()


@pytest.mark.usefixtures("registries")
def test_another_working_folder_is_reported(project: Path) -> None:
    arguments = ["--no-trace", "--run-dir", str(project / "runs/small"), "train.iterations=2"]
    with chdir(project / "data"):
        (project / "data" / "data").symlink_to(".")
        code, printed = command("train", "../a.yml", "data.train.path=data/other.txt", *arguments)
    assert code == 0
    run, data = project / "runs" / "small", project / "data"
    assert f"warning: relative paths are below {data}; when {run} was last trained, below {project}\n" in printed


def test_text_of_a_resolved_file_does_not_become_a_reference(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VALUE", "secret")
    tree = read_text('{a: "$${seed} and $${env:HOME}", b: "${env:VALUE}", c: ["$${x}"], seed: 1}', "a.yml")
    finished = finish(tree, tmp_path / "a.yml")
    assert finished.plain() == {"a": "${seed} and ${env:HOME}", "b": "secret", "c": ["${x}"], "seed": 1}
    again = standalone_text(finished)
    assert "secret" not in again
    assert finish(read_text(again, "resolved.yml"), tmp_path / "resolved.yml").plain() == finished.plain()


def test_samples_are_read_in_the_working_folder_after_a_network_has_changed_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    run = toy_run.load(tmp_path, "train.iterations=4", "log.every=100", "evaluate={}")
    dataset, folders = type(run.loaders[0].dataset), []
    read = dataset.__getitem__

    def noted(self: Any, index: int) -> Any:
        folders.append(Path.cwd())
        return read(self, index)

    monkeypatch.setattr(dataset, "__getitem__", noted)
    run.networks["gen"].register_forward_pre_hook(lambda *_: os.chdir("/"))
    run.train()
    assert len(folders) >= 4 * 8
    assert {*folders} == {tmp_path}
