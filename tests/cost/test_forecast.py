"""A forecast as a whole, and what the command prints of it."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from artschool.cli.main import cli
from artschool.cost import forecast as module
from artschool.cost.forecast import USABLE, forecast
from artschool.cost.hardware import GPUS
from artschool.errors import ConfigError
from artschool.trace.measure import CUDA_BLOCK, measure
from tests.trace.test_measure import config_of
from tests.trace.traced_parts import TEXT


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    file = tmp_path / "toy.yml"
    file.write_text(TEXT)
    return file


def planned(*arguments: str) -> Result:
    return CliRunner().invoke(cli, ["plan", "toy.yml", *arguments])


def test_the_typical_iteration_is_the_mean_over_regimes() -> None:
    found = forecast(config_of("steps.second.after=4"), "h100")
    first, both = found.regimes[0], found.regimes[4]
    assert found.measured.regimes == {0: 4, 4: 6}
    assert found.typical.total == pytest.approx((4 * first.total + 6 * both.total) / 10)
    assert sum(seconds.total for seconds in found.steps.values()) == pytest.approx(found.typical.total)
    forward = 2 * 4 * 3 * 3
    assert found.flops == pytest.approx(2 * forward * (1 + 0.6))


@pytest.mark.parametrize(
    ("override", "rate"),
    [
        ("train.deterministic=false", "tf32"),
        ("train.matmul_precision=highest", "fp32"),
        ("train.deterministic=true", "fp32"),
    ],
)
def test_products_have_the_precision_of_the_file(override: str, rate: str) -> None:
    found = forecast(config_of(override), "a100-80")
    assert found.typical.at_peak == pytest.approx(found.flops / getattr(GPUS["a100-80"], rate))


def test_the_largest_batch_fits_and_the_next_one_does_not(monkeypatch: pytest.MonkeyPatch) -> None:
    config = config_of("data.train={type: traced_rows, batch_size: 2048, length: 100000}")
    usable = 5_000_000
    monkeypatch.setitem(GPUS, "small", GPUS["t4"].__class__(**{**vars(GPUS["t4"]), "memory": usable / USABLE}))
    for processes in (1, 2):
        largest = forecast(config, "small", processes).largest_batch
        assert largest is not None and largest % processes == 0
        each = largest // processes
        fits = measure(config, processes, samples=each, cuda=True).memory.peak
        larger = measure(config, processes, samples=int(each * 1.02), cuda=True).memory.peak
        assert fits <= usable + 10 * CUDA_BLOCK and larger > usable


def test_a_model_that_is_too_large_fits_with_no_batch() -> None:
    found = forecast(config_of("networks.net={type: traced_huge}", "steps.second.losses.own.in=x"), "h100")
    assert not found.fits and found.largest_batch == 0
    assert found.memory == pytest.approx(16e10, rel=1e-3)


def test_what_needs_values_is_measured_with_values() -> None:
    plain, choosy = (
        forecast(config_of(f"networks.net={{type: traced_{name}}}"), "t4") for name in ("linear", "choosy")
    )
    assert choosy.flops == plain.flops


def test_a_parameter_that_nothing_uses_is_exchanged() -> None:
    plain, spare = (forecast(config_of(f"networks.net.spare={spare}"), "h100", 2) for spare in ("false", "true"))
    assert sum(spare.exchanged.values()) > sum(plain.exchanged.values())


def test_faults_are_those_of_the_trace() -> None:
    with pytest.raises(ConfigError, match=r"data.train.batch_size: a batch has 4 samples, too few for 5 processes"):
        forecast(config_of(), "h100", 5)
    with pytest.raises(ConfigError, match=r"fails in other\.0"):
        forecast(config_of("networks.net.width=5"), "h100")


def test_an_error_that_the_trace_does_not_explain_is_raised(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object, **__: object) -> None:
        raise LookupError("no such thing")

    monkeypatch.setattr(module, "measure", fail)
    with pytest.raises(LookupError):
        forecast(config_of(), "h100")


def test_the_command_prints_a_row_for_each_answer(file: Path) -> None:
    printed = planned("--gpu", "h100", "--ranks", "2")
    names = [line.split("  ")[0] for line in printed.output.splitlines() if line[:1] not in ("", " ")]
    start = names.index("gpu")
    assert names[start:] == [
        *("gpu", "memory", "largest batch", "checkpoint", "flops", "exchange", "time", "run", "limited by", "model")
    ]
    lines = {line.split("  ")[0]: line.split("  ")[-1].strip() for line in printed.output.splitlines()}
    assert lines["gpu"] == "2 h100 with 80 GB; 2 of 4 samples each"
    assert "256 bytes all-reduce" in lines["exchange"]
    assert lines["limited by"].startswith("launches of operations ")
    assert re.search(r"^run +[\d.]+ ms for \d+ iterations, [\d.e-]+ GPU hours; ", printed.output, re.MULTILINE)


def test_json_has_the_forecast_beside_the_timeline(file: Path) -> None:
    found = json.loads(planned("--gpu", "t4", "--json").stdout)
    assert found["name"] == "traced"
    assert found["forecast"]["memory"]["fits"] is True
    run, seconds = found["forecast"]["run"], found["forecast"]["time"]["seconds"]
    assert seconds > 0 and run == {"iterations": found["iterations"], "seconds": run["iterations"] * seconds}
    assert "forecast" not in json.loads(planned("--json").stdout)


def test_ranks_without_a_gpu_and_unknown_gpus_are_refused(file: Path) -> None:
    assert "--ranks needs --gpu." in planned("--ranks", "2").output
    assert "unknown GPU" in str(planned("--gpu", "h10").exception)
