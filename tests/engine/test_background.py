"""A checkpoint written in the background is that of its iteration, and nothing is announced before it exists."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from artschool.engine import checkpoint
from artschool.engine.restore_run import restore
from artschool.engine.run import Run
from artschool.engine.run_state import RunState
from artschool.errors import CheckpointError, NumericsError, ResourceError, Stopped
from artschool.storage.checkpoint_store import CheckpointStore
from artschool.storage.draft import Draft
from tests.engine import test_rollback
from tests.engine.toy_run import TEXT, Recorder, StopAfter, fingerprint, load, recorded

BACKGROUND = "checkpoint.background=true"
KEEP_ALL = "checkpoint.keep_last=9"


class Gate(Recorder):
    """Holds every write back until the run has finished an iteration after the one that is saved.

    Attributes:
        held: The number of each checkpoint, and the iteration that had finished at least when it was written.
    """

    def __init__(self, run: RunState, monkeypatch: pytest.MonkeyPatch, until: Callable[[int], int]) -> None:
        super().__init__()
        self.held: list[tuple[int, int]] = []
        self._finished, self._moved = 0, threading.Condition()
        write = Draft.write

        def late(draft: Draft, *given: Any) -> None:
            with self._moved:
                assert self._moved.wait_for(lambda: self._finished >= until(draft.number), timeout=60)
                # The run does not wait for this thread to wake up, so it may have finished more.
                self.held.append((draft.number, until(draft.number)))
            write(draft, *given)

        monkeypatch.setattr(Draft, "write", late)

    def advance(self, run: RunState) -> None:
        with self._moved:
            self._finished = run.iteration
            self._moved.notify_all()


def files(run: Run, number: int) -> dict[str, bytes]:
    folder = run.folder / "checkpoints" / f"{number:08d}"
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.suffix == ".safetensors"}


@pytest.fixture(scope="module")
def foreground(tmp_path_factory: pytest.TempPathFactory) -> Run:
    run = load(tmp_path_factory.mktemp("foreground"), KEEP_ALL)
    recorded(run)
    return run.train()


def test_a_checkpoint_is_of_its_iteration_although_the_weights_change_meanwhile(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, foreground: Run
) -> None:
    run = load(tmp_path, BACKGROUND, KEEP_ALL)
    gate = Gate(run, monkeypatch, until=lambda number: min(number + 4, 20))
    run.loggers = [gate]
    run.train()
    assert gate.held == [(5, 9), (10, 14), (15, 19), (20, 20)]
    assert fingerprint(run) == fingerprint(foreground)
    for number in (5, 10, 15, 20):
        assert files(run, number) == files(foreground, number)
        states = [r.store.load(number).state for r in (run, foreground)]
        for state in states:
            del state["seconds"], state["config"], state["settings"]
        assert states[0] == states[1]
        assert states[0]["pending"] is False  # The amendment came after the write.


REMEMBERING = """
from artschool import schedules

@schedules.register
class Remembering:
    def __init__(self, metric: str) -> None:
        self.metric, self.seen = metric, []

    def __call__(self, rate: float, iteration: int) -> float:
        return rate

    def see(self, value: float) -> None:
        self.seen.append(value)

    def state_dict(self):
        return {"seen": self.seen}

    def load_state_dict(self, state) -> None:
        self.seen = state["seen"]
"""


@pytest.mark.usefixtures("registries")
def test_the_state_of_a_schedule_is_that_of_its_iteration_although_it_sees_more_meanwhile(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "remembering.py").write_text(REMEMBERING)
    run = load(
        tmp_path, BACKGROUND, KEEP_ALL, "log.every=1", "steps.gen.schedule={type: remembering, metric: gen/pixel}",
        text=TEXT.replace("[PLUGIN]", "[PLUGIN, remembering.py]"),
    )  # fmt: skip
    run.loggers = [Gate(run, monkeypatch, until=lambda number: min(number + 4, 20))]
    run.train()
    seen = [run.store.load(number).state["decisions"]["steps.gen.schedule.0"]["seen"] for number in (5, 10, 15, 20)]
    assert [len(values) for values in seen] == [5, 10, 15, 20]


def test_on_the_cpu_it_is_chosen_and_not_the_default(tmp_path: Path) -> None:
    from artschool.engine.saving import is_in_background

    assert not is_in_background(load(tmp_path))
    assert is_in_background(load(tmp_path, BACKGROUND))


def test_a_full_disk_is_told_at_the_next_save(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = load(tmp_path, BACKGROUND, "checkpoint.max_failures=1")
    recorded(run)
    monkeypatch.setenv("ARTSCHOOL_FAULT", "before_manifest:2=disk_full")
    refused = r"00000010: cannot write: No space left on device \(\d+ bytes free"
    with pytest.raises(ResourceError, match=refused) as error:
        run.train()
    assert run.iteration == 15  # The amendment of iteration 10 was not tried.
    monkeypatch.delenv("ARTSCHOOL_FAULT")
    # There is room again on the way out.
    assert error.value.__notes__ == ["A checkpoint is saved after iteration 15. To resume, run the same command again"]
    assert sorted(path.name for path in run.store.folder.iterdir()) == ["00000005", "00000015"]
    assert load(tmp_path, BACKGROUND).iteration == 15


def test_a_full_disk_at_the_last_save_is_told_at_the_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = load(tmp_path, BACKGROUND, "train.iterations=5")
    recorded(run)
    monkeypatch.setenv("ARTSCHOOL_FAULT", "before_manifest=disk_full")
    with pytest.raises(ResourceError, match="No space left on device"):
        run.train()
    assert run.store.numbers() == []


def test_an_error_of_training_waits_for_the_write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = load(tmp_path, BACKGROUND)
    recorded(run)

    def fail(iteration: int, folder: Path) -> None:
        if iteration == 7:
            raise RuntimeError("broken")

    run.update_hooks = [fail]
    monkeypatch.setenv("ARTSCHOOL_FAULT", "before_write=sleep:0.1")
    with pytest.raises(RuntimeError, match="broken") as error:
        run.train()
    assert "A checkpoint is saved after iteration 7. To resume, run the same command again" in error.value.__notes__
    assert run.store.numbers() == [5, 7]
    monkeypatch.setenv("ARTSCHOOL_FAULT", "before_manifest=disk_full")
    run = load(tmp_path, BACKGROUND, "checkpoint.max_failures=1")
    recorded(run)
    run.update_hooks = [lambda iteration, folder: fail(iteration - 4, folder)]
    with pytest.raises(RuntimeError, match="broken") as error:
        run.train()
    notes = "\n".join(error.value.__notes__)
    assert "The last iterations could not be saved: " in notes
    assert "00000010: cannot write: No space left on device" in notes
    assert run.store.numbers() == [5, 7]


def test_an_evaluation_overlaps_with_the_write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """If it fails, what is being written counts as saved."""
    run = load(tmp_path, BACKGROUND, "train.on_look_error=stop")
    recorded(run)

    def fail(*given: Any) -> dict[str, float]:
        assert run.store.numbers() == [5] and run.saver.number == 10
        raise RuntimeError("metric")

    monkeypatch.setattr(type(run.evaluations[0]), "run", fail)
    monkeypatch.setenv("ARTSCHOOL_FAULT", "before_write=sleep:0.05")
    with pytest.raises(RuntimeError, match="metric") as error:
        run.train()
    assert "A checkpoint is saved after iteration 10" in error.value.__notes__[0]
    assert run.store.load(10).state["pending"] is True


@pytest.mark.parametrize("stop", [5, 7])
def test_a_stop_signal_announces_what_is_on_the_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, stop: int
) -> None:
    run = load(tmp_path, BACKGROUND)
    run.loggers = [StopAfter(stop)]
    monkeypatch.setenv("ARTSCHOOL_FAULT", "before_write=sleep:0.02")
    with pytest.raises(Stopped, match=f"after iteration {stop}; a checkpoint is saved"):
        run.train()
    assert run.store.numbers()[-1] == stop
    run.store.verify(stop)


def test_the_best_checkpoint_is_kept(tmp_path: Path) -> None:
    keep_best = ("checkpoint.keep_best={metric: held_out/psnr, mode: max}", "evaluate.held_out.every=1")
    kept = []
    for name, background in (("a", "false"), ("b", "true")):
        (tmp_path / name).mkdir()
        run = load(tmp_path / name, *keep_best, "checkpoint.keep_last=1", f"checkpoint.background={background}")
        recorded(run)
        run.train()
        kept.append((run.store.numbers(), run.best, run.store.load(20).state["best"]))
    assert kept[0] == kept[1]


def test_a_rollback_finds_the_checkpoint_that_was_being_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ARTSCHOOL_FAULT", "before_write=sleep:0.005")
    notes, weights = [], []
    for name, background in (("a", "false"), ("b", "true")):
        run, recorder = test_rollback.load(tmp_path / name, f"checkpoint.background={background}")
        run.train()
        notes.append(recorder.notes[-1])
        weights.append(test_rollback.weight(run))
    assert notes[0] == notes[1] and "Rolling back to the checkpoint" in notes[0]
    assert weights[0] == weights[1]


def test_a_rollback_fails_with_the_write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run, _ = test_rollback.load(tmp_path, BACKGROUND, "log.every=4", "checkpoint={every: 3, max_failures: 1}")
    monkeypatch.setenv("ARTSCHOOL_FAULT", "before_manifest=disk_full")
    with pytest.raises(ResourceError, match="No space left on device") as error:
        run.train()
    assert not isinstance(error.value, NumericsError)
    assert CheckpointStore(run.store.folder).numbers() == []


def test_only_the_newest_checkpoint_keeps_the_state_of_optimizers(tmp_path: Path) -> None:
    options = ("checkpoint={every: 5, keep_last: all, state: last}", "train.iterations=12")
    run = load(tmp_path, *options)
    run.train()
    assert run.store.numbers() == [5, 10, 12]
    states = [(run.store.path(n) / "state.optimizers.safetensors").exists() for n in run.store.numbers()]
    assert states == [False, False, True]
    with pytest.raises(CheckpointError, match="weights without the state of optimizers"):
        restore(load(tmp_path, *options), run.store.load(5))


def test_without_memory_for_a_copy_from_the_device_training_waits(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*parts: object, from_cpu: bool) -> None:
        raise torch.OutOfMemoryError("CUDA error: out of memory")

    monkeypatch.setattr(checkpoint, "copied", refuse)
    run = load(tmp_path, BACKGROUND, "train.iterations=5", "evaluate={}")
    recorder = recorded(run)
    run.train()
    assert run.store.load(5).state["iteration"] == 5
    assert recorder.notes == [
        "warning: there is not enough memory for a copy of the checkpoint after 5 iterations, so training waits until "
        "it is written. Fix: `checkpoint.background: false`"
    ]
