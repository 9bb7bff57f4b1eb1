"""The loop of a sweep: starts trials, looks at them, and ends them together."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from artschool.engine.signals import Interrupted, name_of
from artschool.sweep.parameters import assignments
from artschool.sweep.result import Result, result_of
from artschool.sweep.settings import Settings, is_measured_on_the_way, prove
from artschool.sweep.study import FOLDER, left_trials, new_trial, opened_study
from artschool.sweep.trial import RunningTrial

if TYPE_CHECKING:
    from optuna import Study
    from optuna.trial import Trial

    from artschool.storage.run_lock import RunLock

POLL_S = 0.25
"""Seconds between two looks at the trainings."""
Note = Callable[[str], None]


def sweep(settings: Settings, note: Note) -> Result:
    """Train the trials of a sweep that nobody trains yet, until it has all of them.

    Unfinished trials whose process has ended go on first, with their values, from their newest checkpoints.

    Args:
        settings: The sweep.
        note: Called with a line for the user at each event.

    Raises:
        ConfigError: The file, a range or the metric is wrong, or there is another sweep of this name.
        Interrupted: A signal has arrived. All trainings are saved.
    """
    config = prove(settings)
    if settings.is_pruning and not is_measured_on_the_way(config, settings.metric):
        note(f"note: no trial is pruned, since {settings.metric.name} is measured only at the end of a training")
    with opened_study(settings) as study:
        _Sweep(settings, study, config.sections.seed, note).run()
        return result_of(settings, study)


class _Sweep:
    def __init__(self, settings: Settings, study: Study, seed: int, note: Note) -> None:
        self._settings, self._study, self._seed, self._note = settings, study, seed, note
        self._slots: list[RunningTrial | None] = [None] * settings.jobs
        self._left = left_trials(settings, study, note)
        self._devices = _devices()

    @property
    def _running(self) -> list[RunningTrial]:
        return [trial for trial in self._slots if trial is not None]

    def run(self) -> None:
        """Train until no trial is left."""
        with self._ended_together():
            while self._fill():
                for slot, trial in enumerate(self._slots):
                    if trial is not None and trial.advance():
                        self._slots[slot] = None
                time.sleep(POLL_S)

    def _fill(self) -> bool:
        """Start trials in free slots. False: nothing is left to do."""
        for slot, trial in enumerate(self._slots):
            if trial is None:
                found = self._next()
                self._slots[slot] = self._started(*found, slot) if found is not None else None
        return bool(self._running)

    def _next(self) -> tuple[Trial, RunLock] | None:
        """The next trial: at the end, one of another process of this machine that has been killed in the meantime."""
        found = next(self._left, None) or new_trial(self._settings, self._study)
        if found is None and not self._running:
            self._left = left_trials(self._settings, self._study, self._note)
            found = next(self._left, None) or new_trial(self._settings, self._study)
        return found

    def _started(self, trial: Trial, lock: RunLock, slot: int) -> RunningTrial:
        folder = self._settings.folder / f"{trial.number:04}"
        goes_on = "goes on: " if trial.user_attrs.get(FOLDER) else ""
        trial.set_user_attr(FOLDER, str(folder))
        self._note(f"trial {trial.number}: {goes_on}{' '.join(assignments(trial.params))}")
        environment = self._environment(slot)
        return RunningTrial(
            self._settings, self._study, trial, lock, seed=self._seed, environment=environment, note=self._note
        )

    def _environment(self, slot: int) -> dict[str, str]:
        """Trials at the same time share the cores, and have GPUs of their own as far as there are enough."""
        if self._settings.jobs == 1:
            return {}
        cores = max(1, (os.cpu_count() or 1) // self._settings.jobs)
        threads = os.environ.get("OMP_NUM_THREADS", str(cores))
        gpu = {"CUDA_VISIBLE_DEVICES": self._devices[slot % len(self._devices)]} if self._devices else {}
        return {"OMP_NUM_THREADS": threads, **gpu}

    @contextmanager
    def _ended_together(self) -> Iterator[None]:
        """End all trainings with the sweep, so that each is saved."""
        try:
            yield
        except Interrupted as end:
            count = len(self._running)
            self._note(f"{name_of(end.number)}: waits for the last checkpoint of {count} training{'s' * (count != 1)}")
            self._end_all()
            self._note("To resume the sweep, run the same command again")
            raise
        except BaseException:
            self._end_all()
            raise

    def _end_all(self) -> None:
        try:
            for trial in self._running:
                trial.end()
            while any(trial.is_alive for trial in self._running):
                time.sleep(POLL_S)
        finally:  # After a second Ctrl-C, some are still running.
            for trial in self._running:
                if trial.is_alive:
                    trial.kill()


def _devices() -> list[str]:
    """The GPUs that trainings may use, as CUDA_VISIBLE_DEVICES names them. Does not initialize them."""
    import torch

    chosen = os.environ.get("CUDA_VISIBLE_DEVICES")
    if chosen is not None:
        return [name for name in chosen.split(",") if name]
    return [str(index) for index in range(torch.cuda.device_count())]
