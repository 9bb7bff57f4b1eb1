"""One trial of a sweep: its trainings, one after the other, with what they report to optuna."""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from artschool.errors import ConfigError
from artschool.show.log import METRICS, Log
from artschool.storage.run_lock import RunLock, holder
from artschool.sweep.child import Child, was_ended
from artschool.sweep.parameters import assignments
from artschool.sweep.settings import Settings

if TYPE_CHECKING:
    from optuna import Study
    from optuna.trial import Trial

VALUES, REASON = "values", "reason"
"""Attributes of a trial in the storage: the value of each seed, and why it has failed."""


class RunningTrial:
    """A trial that this process trains.

    Each training starts from its newest checkpoint. One that has finished before ends at once with the same value, so
    a trial that was interrupted anywhere goes on by being started again.

    Args:
        settings: The sweep.
        study: The study of optuna.
        trial: The trial, with its values.
        lock: What says to other processes that this one trains it.
        seed: The seed of the file.
        environment: That of the trainings, such as the GPU.
        note: Called with a line for the user.
    """

    def __init__(
        self,
        settings: Settings,
        study: Study,
        trial: Trial,
        lock: RunLock,
        *,
        seed: int,
        environment: Mapping[str, str],
        note: Callable[[str], None],
    ) -> None:
        self._settings, self._study, self._trial, self._lock = settings, study, trial, lock
        self._seed, self._environment, self._note = seed, environment, note
        self._values: list[float] = []
        self._child: Child | None = None
        self._is_pruned = False
        self._reported: set[int] = set(study.trials[trial.number].intermediate_values)
        self._log = Log(self._folder / METRICS)
        self._furthest = -1

    def advance(self) -> bool:
        """Look at the training: report its evaluations, prune it, or start the next one. True: the trial is over.

        Raises:
            ConfigError: The training has found a fault in the file.
        """
        if self._child is None:
            if not holder(self._folder):  # A training that is still saving after the kill of its sweep.
                self._child = self._start()
            return False
        code = self._child.poll()
        self._report()
        if code is None:
            if self._is_pruned:
                self._child.end()
            return False
        return self._ended(self._child, code)

    def end(self) -> None:
        """Ask the training to save and end. The trial goes on when the sweep does."""
        if self._child is not None:
            self._child.end()

    def kill(self) -> None:
        """End the training at once."""
        if self._child is not None:
            self._child.kill()

    @property
    def is_alive(self) -> bool:
        """Whether its training still runs."""
        return self._child is not None and self._child.poll() is None

    @property
    def _folder(self) -> Path:
        return self._settings.folder_of(self._trial.number, len(self._values))

    def _measured(self) -> dict[int, float]:
        """The evaluations of the training so far, by number of finished iterations."""
        self._log.update()
        found, values = self._log.curves.get(self._settings.metric.name, ([], []))
        return {at + 1: value for at, value in zip(found, values, strict=True)}

    def _start(self) -> Child:
        settings, number = self._settings, self._trial.number
        overrides = [*settings.overrides, *assignments(self._trial.params), f"name={settings.name}-{number:04}"]
        if settings.seeds > 1:
            overrides.append(f"seed={self._seed + len(self._values)}")
        arguments = [str(settings.config), *overrides, "--run-dir", str(self._folder), *settings.options]
        return Child(arguments, settings.output_of(number) / "train.txt", self._environment)

    def _report(self) -> None:
        """Report new evaluations of the first training. Of several seeds, the others are not pruned."""
        if self._values or self._is_pruned:
            return
        for step, value in self._measured().items():
            if step not in self._reported:
                self._reported.add(step)
                self._trial.report(value, step)
                self._is_pruned = self._is_pruned or self._trial.should_prune()

    def _ended(self, child: Child, code: int) -> bool:
        if code == 0:
            return self._finished()
        if self._is_pruned:
            return self._tell("pruned", f"pruned after {self._log.finished} iterations")
        if code == ConfigError.exit_code:
            self._fail(f"a fault of the file: {child.last_line()}")
            output = self._settings.output_of(self._trial.number) / "train.txt"
            raise ConfigError(f"trial {self._trial.number}: {child.last_line()} (all of it: {output})")
        self._log.update()
        done = self._log.finished
        if was_ended(code) and done > self._furthest:
            self._furthest = done
            self._note(f"trial {self._trial.number}: ended by a signal after {done} iterations; it goes on")
            self._child = None
            return False
        return self._fail(f"exit code {code}: {child.last_line()}")

    def _finished(self) -> bool:
        """Take the value of a training that has reached its end, also if it was to be pruned meanwhile."""
        value = self._settings.metric.best(self._measured().values())
        if math.isnan(value):
            return self._fail(f"{self._settings.metric.name} was never a number")
        self._values.append(value)
        self._child, self._furthest, self._log = None, -1, Log(self._folder / METRICS)
        if len(self._values) < self._settings.seeds:
            return False
        self._trial.set_user_attr(VALUES, self._values)
        mean = statistics.fmean(self._values)
        self._study.tell(self._trial, mean)
        self._note(f"trial {self._trial.number}: {self._settings.metric.name} {mean:.4g}")
        return True

    def _fail(self, reason: str) -> bool:
        self._trial.set_user_attr(REASON, reason)
        return self._tell("fail", f"failed: {reason}")

    def _tell(self, state: str, text: str) -> bool:
        from optuna.trial import TrialState

        self._study.tell(self._trial, state=TrialState[state.upper()])
        self._note(f"trial {self._trial.number}: {text}")
        return True
