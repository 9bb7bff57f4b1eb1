"""What `check --trace` prints and `train` says of its trace, and that a refused file leaves nothing behind."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from click.testing import CliRunner

from artschool.cli.main import cli
from artschool.errors import ConfigError, ResourceError
from artschool.trace import report
from tests.fresh import exit_code
from tests.trace.traced_parts import TEXT, window

PRINTED = """\
key      value           gradient  writer -> readers
  x      (4, 3) float32            data.train -> main.call
  label  (4,) int64                data.train
  y      (4, 3) float32  yes       main.call -> main.mean, second.own
loss          gradient reaches
  main.mean   2 of 2 parameters of net
  second.own  2 of 2 parameters of other
"""


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    file = tmp_path / "toy.yml"
    file.write_text(TEXT)
    return file


def test_check_prints_keys_gradients_memory_and_disk(file: Path) -> None:
    printed = CliRunner().invoke(cli, ["check", "toy.yml", "--trace"])
    lines = printed.output.splitlines()
    start = lines.index("key      value           gradient  writer -> readers")
    assert lines[start : start + 7] == PRINTED.splitlines()
    assert [line.split()[0] for line in lines[start + 7 :]] == [
        *("memory", "parameters", "optimizer", "step", "step", "disk", "a", "toy.yml:")
    ]
    # Two networks of 12 numbers; Adam keeps two more of each and a step of four bytes for each of four tensors.
    assert "  parameters       96 bytes" in lines
    assert "  optimizer state  208 bytes" in lines


def test_train_says_what_it_will_take_and_refuses_what_cannot_train(file: Path) -> None:
    done = CliRunner().invoke(cli, ["train", "toy.yml", "train.iterations=1"])
    assert done.exit_code == 0
    assert "traced: 1 regime; training takes about " in done.output
    again = CliRunner().invoke(cli, ["train", "toy.yml", "train.iterations=1"])
    assert again.output.splitlines()[-1] == "runs/traced: already finished (1 of 1 iterations)"
    assert not [line for line in again.output.splitlines() if line.startswith("traced:")]
    refused = CliRunner().invoke(cli, ["train", "toy.yml", "--run-dir", "other", "steps.main.losses.mean.in=x"])
    assert isinstance(refused.exception, ConfigError)
    assert "steps.main.losses.mean: reaches no parameter of 'net'" in str(refused.exception)
    assert not Path("other").exists()


def test_a_folder_that_cannot_be_made_is_told_before_anything_is_traced(file: Path) -> None:
    Path("taken").write_text("")
    refused = CliRunner().invoke(cli, ["train", "toy.yml", "--run-dir", "taken/run"])
    assert isinstance(refused.exception, ResourceError)
    assert str(refused.exception) == (
        "taken/run: cannot create the folder: Not a directory. Fix: choose another folder with --run-dir"
    )
    assert refused.output == ""


def test_a_folder_that_can_be_made_is_not_there_when_a_trace_refuses_the_file(file: Path) -> None:
    Path("old").mkdir()
    options = ["--run-dir", "old/new/run", "steps.main.losses.mean.in=x"]
    assert isinstance(CliRunner().invoke(cli, ["train", "toy.yml", *options]).exception, ConfigError)
    assert list(Path("old").iterdir()) == []


def test_train_without_a_trace_starts_at_once(file: Path) -> None:
    done = CliRunner().invoke(cli, ["train", "toy.yml", "--no-trace", "train.iterations=1"])
    assert done.exit_code == 0
    assert "traced:" not in done.output


def test_too_small_a_disk_is_a_warning(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(report, "free_bytes", lambda folder: 100)
    done = CliRunner().invoke(cli, ["train", "toy.yml", "train.iterations=1"])
    assert done.exit_code == 0
    assert "warning: 1 checkpoint takes 304 bytes, but runs/traced has only 100 bytes free; " in done.output


def train_with_cache() -> None:
    done = CliRunner().invoke(cli, ["train", "toy.yml", "networks.net={type: traced_cached}", "train.iterations=2"])
    assert done.exit_code == 0, done.exception
    assert "traced: 1 regime" in done.output
    assert type(window(3)) is torch.Tensor


def test_nothing_of_the_trace_stays_in_the_caches_of_modules(file: Path) -> None:
    assert exit_code(train_with_cache) == 0


def test_check_traces_as_one_of_many_processes(file: Path) -> None:
    printed = CliRunner().invoke(cli, ["check", "toy.yml", "--trace", "--ranks", "2"])
    lines = printed.output.splitlines()
    assert "  x      (2, 3) float32            data.train -> main.call" in lines
    assert [line for line in lines if line.startswith("memory ") and line.endswith("for one process of 2")]


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (
            [],
            "toy.yml:3:47: data.train.batch_size: a batch has 4 samples, too few for 5 processes\n"
            "    Fix: set a larger `batch_size`; it is the total over all processes.",
        ),
        (
            ["data.train.drop_last=false", "data.train.batch_size=8"],
            "override 'data.train.drop_last=false': data.train.drop_last: the last batch of an epoch has 1 sample, too "
            "few for 5 processes\n    Fix: write `drop_last: true`.",
        ),
    ],
)
def test_a_batch_that_leaves_a_process_without_samples_is_refused(
    file: Path, overrides: list[str], message: str
) -> None:
    refused = CliRunner().invoke(cli, ["check", "toy.yml", *overrides, "--trace", "--ranks", "5"])
    assert isinstance(refused.exception, ConfigError) and str(refused.exception) == message


def test_ranks_without_a_trace_are_refused(file: Path) -> None:
    refused = CliRunner().invoke(cli, ["check", "toy.yml", "--ranks", "2"])
    assert refused.exit_code == 2 and "--ranks needs --trace." in refused.output
