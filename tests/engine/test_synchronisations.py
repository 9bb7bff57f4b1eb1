"""Between two log points the trainer never waits for the device: it reads no number out of a tensor."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from torch.profiler import ProfilerActivity, profile

from artschool.engine.logger import Record
from artschool.engine.run_state import RunState
from tests.engine import toy_parts, toy_run

READS = ("aten::_local_scalar_dense", "aten::item", "aten::is_nonzero")
"""What `.item()`, `float(tensor)`, `bool(tensor)` and `if tensor` show up as."""


def is_inside_fused_kernel(event: Any) -> bool:
    """On the CPU the fused AdamW reads the step counts, which lie there too; on a GPU it does not."""
    while event is not None:
        if event.name.startswith("aten::_fused_"):
            return True
        event = event.cpu_parent
    return False


class Profiled(toy_run.Recorder):
    """Profiles the iterations between two log points: from after `first` finished ones to after `last`."""

    def __init__(self, first: int, last: int) -> None:
        super().__init__()
        self._first, self._last = first, last
        self._profile = profile(activities=[ProfilerActivity.CPU], acc_events=True)
        self.calls: Counter[str] = Counter()

    def advance(self, run: RunState) -> None:
        if run.iteration == self._last:
            self._profile.stop()
            events: list[Any] = list(self._profile.events())  # type: ignore[no-untyped-call]  # torch
            self.calls = Counter(event.name for event in events if not is_inside_fused_kernel(event))

    def log(self, record: Record) -> None:
        super().log(record)
        if record["iteration"] + 1 == self._first:
            self._profile.start()

    @property
    def reads(self) -> int:
        """How often a number was read out of a tensor."""
        return sum(self.calls[name] for name in READS)


QUIET = ("train.iterations=16", "log.every=6", "checkpoint.every=100", "evaluate={}", "steps.critic.clip_grad_norm=1.0")


def profiled(folder: Path, *overrides: str) -> Profiled:
    """Iterations 6 to 11: both steps train, the critic in every second one."""
    run = toy_run.load(folder, *QUIET, *overrides)
    recorder = Profiled(6, 12)
    run.loggers = [recorder]
    run.train()
    assert [record["iteration"] for record in recorder.records] == [5, 11, 15]
    assert recorder.calls["aten::convolution"] > 6 * 2  # The profiler did look.
    return recorder


@pytest.mark.parametrize(("precision", "accumulate"), [("fp32", 1), ("fp32", 3), ("bf16", 3), ("fp16", 1)])
def test_nothing_is_read_between_log_points(tmp_path: Path, precision: str, accumulate: int) -> None:
    recorder = profiled(tmp_path, f"train.precision={precision}", f"train.accumulate={accumulate}")
    assert recorder.reads == 0


def test_a_gate_by_a_key_reads_nothing(tmp_path: Path) -> None:
    assert profiled(tmp_path, "steps.critic.while={value: sr, above: 0.0, until: -0.1}").reads == 0


def test_a_loss_that_reads_is_seen(tmp_path: Path) -> None:
    plugins = f"plugins=['{Path(toy_run.__file__).resolve()}', '{Path(toy_parts.__file__).resolve()}']"
    hurried = "steps.gen.losses.pixel={type: part_hurried, in: sr, weight: 1.0}"
    assert profiled(tmp_path, plugins, hurried).calls["aten::_local_scalar_dense"] == 6


def test_an_optimizer_that_cannot_skip_on_the_device_reads_once_an_update(tmp_path: Path) -> None:
    recorder = profiled(tmp_path, "steps.gen.optimizer={type: lamb, lr: 1e-3}")
    assert recorder.calls["aten::_local_scalar_dense"] == 6
