"""A run continues from an older checkpoint in a folder of its own, and says what it does with other settings."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from click.testing import CliRunner

from artschool.cli.main import cli
from artschool.errors import CheckpointError, ConfigError
from tests.engine import toy_run

SHORT = ("train.iterations=4", "checkpoint={every: 2, keep_last: 5}", "evaluate={}")
SLOWER = ("steps.gen.optimizer.lr=1e-3", *SHORT)


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("trunk")
    run = toy_run.load(folder, *SHORT)
    toy_run.recorded(run)
    run.train()
    return folder


@pytest.fixture
def folder(trained: Path, tmp_path: Path) -> Path:
    shutil.copytree(trained, tmp_path, dirs_exist_ok=True)
    return tmp_path


def said(folder: Path, *arguments: str) -> tuple[int, list[str]]:
    result = CliRunner().invoke(
        cli, ["train", str(folder / "toy.yml"), "--run-dir", str(folder / "run"), "--no-trace", *arguments]
    )
    error = [str(result.exception)] if result.exception and not isinstance(result.exception, SystemExit) else []
    return result.exit_code, [*result.output.splitlines(), *error]


def test_a_branch_begins_at_an_older_checkpoint_and_continues_in_its_own_folder(folder: Path) -> None:
    before = toy_run.snapshot(folder / "run")
    run = toy_run.load(folder, *SLOWER, resume="2", branch="slow")
    assert (run.folder, run.iteration) == (folder / "slow", 2)
    toy_run.recorded(run)
    run.train()
    assert run.store.all_numbers() == [4] and toy_run.snapshot(folder / "run") == before
    longer = [change.replace("train.iterations=4", "train.iterations=5") for change in SLOWER]
    again = toy_run.load(folder, *longer, resume="2", branch="slow")
    assert (again.folder, again.iteration) == (folder / "slow", 4)


def test_a_branch_begins_at_the_newest_checkpoint_unless_another_is_named(folder: Path) -> None:
    longer = [change.replace("train.iterations=4", "train.iterations=5") for change in SHORT]
    assert toy_run.load(folder, *longer, branch="longer").iteration == 4


def test_what_cannot_be_branched_says_what_to_write(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    fix = r"up to iteration 4, .* iteration 2 would overwrite\. Fix: add --branch NAME to train on in .*/NAME$"
    with pytest.raises(CheckpointError, match=fix):
        toy_run.load(folder, *SHORT, resume="2")
    with pytest.raises(CheckpointError, match=r"/run: has no checkpoint after iteration 3\. Available: 2, 4$"):
        toy_run.load(folder, *SHORT, resume="3", branch="slow")
    for name in ("a/b", "..", "run", ""):
        with pytest.raises(ConfigError, match=r"--branch '.*': expected a new name of letters"):
            toy_run.load(folder, *SHORT, resume="2", branch=name)
    with pytest.raises(CheckpointError, match=r"/run: has no checkpoint to branch from\. Fix: train it first"):
        toy_run.load(tmp_path_factory.mktemp("none"), *SHORT, branch="slow")


def test_a_finished_run_says_so_in_one_sentence(folder: Path) -> None:
    code, lines = said(folder)
    assert code == 0 and not any("resuming" in line for line in lines)
    assert lines[-1] == f"{folder / 'run'}: already finished (4 of 4 iterations)"


def test_a_resume_with_another_rate_says_what_happens_and_what_to_write(folder: Path) -> None:
    code, lines = said(folder, "train.iterations=5", "steps.gen.optimizer.lr=1e-3")
    assert code == 0
    start = next(index for index, line in enumerate(lines) if line.startswith("resuming after iteration 4"))
    assert "  changed since the checkpoint: steps.gen.optimizer.lr: 0.002 -> 0.001" in lines[start:]
    assert "  this run continues with the new settings" in lines[start:]
    code, lines = said(folder, "train.iterations=6", "steps.gen.optimizer.lr=1e-3")
    assert code == 0 and "  this run continues with the new settings" not in lines
    assert lines[-1].startswith("done: ")
