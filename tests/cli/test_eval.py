"""`artschool eval`: the numbers of the training again, of the newest checkpoint or a named one, and nothing written."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from artschool.cli.main import cli
from artschool.engine.run import Run
from artschool.engine.run_state import Progress
from artschool.errors import ArtschoolError, CheckpointError, ConfigError
from tests.engine import toy_run


def trained(folder: Path) -> list[dict[str, float]]:
    """Train the toy, and return its records that have an evaluation."""
    run = toy_run.load(
        folder, "train.iterations=10", "evaluate.held_out.every=5", "checkpoint.every=5", "data.val.batch_size=3"
    )
    recorder = toy_run.recorded(run)
    run.train()
    return [record for record in recorder.records if "held_out/psnr" in record]


def evaluate(folder: Path, *arguments: str, error: type[ArtschoolError] | None = None) -> Result:
    command = ["eval", str(folder / "toy.yml"), "--run-dir", str(folder / "run"), *arguments]
    result = CliRunner().invoke(cli, command, standalone_mode=False)
    assert (type(result.exception) if result.exception else None) is error, result.output
    return result


def contents(folder: Path) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_it_prints_what_the_training_found_and_writes_nothing(tmp_path: Path) -> None:
    early, late = trained(tmp_path)
    (tmp_path / "run" / "checkpoints" / ".partial").mkdir()  # As of a training that saves at this moment.
    before = contents(tmp_path)
    assert evaluate(tmp_path).stdout == f"held_out/psnr {late['held_out/psnr']:.6g}\n"
    newest = json.loads(evaluate(tmp_path, "--json").stdout)
    assert newest == {"iteration": 10, "held_out/psnr": late["held_out/psnr"]}
    named = evaluate(tmp_path, "--json", "--checkpoint", str(tmp_path / "run" / "checkpoints" / "00000005"))
    assert json.loads(named.stdout) == {"iteration": 5, "held_out/psnr": early["held_out/psnr"]}
    assert contents(tmp_path) == before and (tmp_path / "run" / "checkpoints" / ".partial").is_dir()


def test_overrides_may_change_what_is_no_network(tmp_path: Path) -> None:
    trained(tmp_path)
    changes = ("steps.gen.optimizer={type: sgd, lr: 1}", "data.val.length=5", "evaluate.held_out.ema=false")
    values = json.loads(evaluate(tmp_path, "--json", *changes).stdout)
    assert values.keys() == {"iteration", "held_out/psnr"}


def test_values_that_json_does_not_know_are_text(tmp_path: Path) -> None:
    trained(tmp_path)
    perfect = "evaluate.held_out.metrics.psnr={type: psnr, in: [hq, hq]}"
    assert json.loads(evaluate(tmp_path, "--json", perfect).stdout)["held_out/psnr"] == "Infinity"
    assert evaluate(tmp_path, perfect).stdout == "held_out/psnr inf\n"


def test_what_a_network_prints_is_no_part_of_the_answer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    trained(tmp_path)
    evaluated = Run.evaluate

    def talking(run: Run, progress: Progress) -> dict[str, float]:
        print("as many parameters as stars")  # noqa: T201  # That is the point.
        return evaluated(run, progress)

    monkeypatch.setattr(Run, "evaluate", talking)
    result = evaluate(tmp_path, "--json")
    assert "held_out/psnr" in json.loads(result.stdout) and "stars" in result.stderr


def test_what_cannot_be_evaluated_is_told(tmp_path: Path) -> None:
    toy_run.write(tmp_path)
    missing = evaluate(tmp_path, error=CheckpointError)
    assert str(missing.exception).endswith(
        "run: no intact checkpoint. Fix: train first, or choose a checkpoint with --checkpoint"
    )
    trained(tmp_path)
    nothing = evaluate(tmp_path, "evaluate={}", error=ConfigError)
    assert str(nothing.exception).endswith("has no evaluations; add an `evaluate:` section")
    other = evaluate(tmp_path, "networks.gen.width=4", error=CheckpointError)
    assert ": gen.0.bias: does not fit the config file (expected (4,), the checkpoint has (8,))" in str(other.exception)
    assert str(other.exception).endswith(
        "networks.gen.width: 8 -> 4. Fix: undo the change of networks.gen or of its code, or start a new run "
        "in another folder with --run-dir"
    )
