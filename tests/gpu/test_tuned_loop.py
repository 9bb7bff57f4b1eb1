"""What a tuned loop does on a CUDA device. None of it can be seen without one."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from torch import nn

from artschool.data.to_device import to_device
from artschool.engine import meters, skip_counter
from artschool.engine.ema import Ema
from artschool.engine.logger import Record
from artschool.engine.run import Run
from artschool.engine.run_state import RunState
from tests.engine import toy_parts, toy_run
from tests.gpu.marks import WATCHED

pytestmark = WATCHED
CUDA = torch.device("cuda", 0)
QUIET = (
    "train.device=cuda",
    "train.iterations=16",
    "log.every=6",
    "checkpoint.every=100",
    "evaluate={}",
    "steps.critic.clip_grad_norm=1.0",
)


class Watched(toy_run.Recorder):
    """Lets torch raise an error where it waits for the device, in iterations 6 to 11: between two log points."""

    def advance(self, run: RunState) -> None:
        if run.iteration == 12:
            torch.cuda.set_sync_debug_mode("default")

    def log(self, record: Record) -> None:
        super().log(record)
        if record["iteration"] == 5:
            torch.cuda.set_sync_debug_mode("error")


@pytest.fixture(autouse=True)
def _unwatched() -> Iterator[None]:
    yield
    torch.cuda.set_sync_debug_mode("default")


def watched(folder: Path, *overrides: str) -> Run:
    run = toy_run.load(folder, *QUIET, *overrides)
    recorder = Watched()
    run.loggers = [recorder]
    run.train()
    assert [record["iteration"] for record in recorder.records] == [5, 11, 15]
    return run


@pytest.mark.parametrize("accumulate", [1, 3])
@pytest.mark.parametrize("precision", ["fp32", "bf16", "fp16"])
def test_nothing_waits_for_the_device_between_log_points(tmp_path: Path, precision: str, accumulate: int) -> None:
    watched(tmp_path, f"train.precision={precision}", f"train.accumulate={accumulate}")


@pytest.mark.parametrize("option", ["train.channels_last=true", "data.train.workers=1", "train.non_finite=ignore"])
def test_no_option_of_a_tuned_loop_waits(tmp_path: Path, option: str) -> None:
    watched(tmp_path, option)


def test_long_spans_between_log_points_do_not_wait(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As with hundreds of iterations between them: numbers and flags are summed up on the device."""
    monkeypatch.setattr(skip_counter, "MOST_FLAGS", 2)
    monkeypatch.setattr(meters, "MOST_UNSUMMED", 8)
    watched(tmp_path)


def test_a_gate_by_a_key_does_not_wait(tmp_path: Path) -> None:
    watched(tmp_path, "steps.critic.while={value: sr, above: 0.0, until: -0.1}")


def test_a_loss_that_waits_is_seen(tmp_path: Path) -> None:
    plugins = f"plugins=['{Path(toy_run.__file__).resolve()}', '{Path(toy_parts.__file__).resolve()}']"
    with pytest.raises(RuntimeError, match="synchronizing CUDA operation"):
        watched(tmp_path, plugins, "steps.gen.losses.pixel={type: part_hurried, in: sr, weight: 1.0}")


def test_batches_arrive_though_the_device_is_busy() -> None:
    """Each copy is compared after the memory of many others was freed and used again."""
    values = [torch.full((64, 3, 64, 64), float(index)) for index in range(20)]
    heavy = torch.rand(4096, 4096, device=CUDA)
    sums = []
    for value in values:
        torch.mm(heavy, heavy)
        sums.append(to_device({"x": value}, CUDA)["x"].double().mean())
    assert torch.stack(sums).tolist() == [float(index) for index in range(20)]


@pytest.mark.parametrize("flag", [None, 0.0, 1.0])
def test_averages_differ_from_lerp_in_the_last_bit_at_most(flag: float | None) -> None:
    network = nn.Sequential(nn.Conv2d(3, 64, 3), nn.Linear(333, 65)).to(CUDA)
    ema = Ema(network, 0.999)
    before = [parameter.detach().clone() for parameter in ema.module.parameters()]
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.mul_(1.5)
    ema.update([None if flag is None else torch.tensor(flag, device=CUDA)])
    for average, value, source in zip(ema.module.parameters(), before, network.parameters(), strict=True):
        expected = value if flag == 1.0 else value.lerp(source, 0.001)
        torch.testing.assert_close(average.detach(), expected.detach(), rtol=1.2e-7, atol=0)


def test_channels_last_trains_to_the_same_weights(tmp_path: Path) -> None:
    exact = ("train.matmul_precision=highest", "networks.gen={type: toy_plain_generator}", "train.iterations=4")
    (tmp_path / "plain").mkdir()
    (tmp_path / "last").mkdir()
    plain = toy_run.load(tmp_path / "plain", *QUIET, *exact).train()
    last = toy_run.load(tmp_path / "last", *QUIET, *exact, "train.channels_last=true").train()
    for name, network in plain.networks.items():
        torch.testing.assert_close(network.state_dict(), last.networks[name].state_dict(), rtol=1e-4, atol=1e-5)
