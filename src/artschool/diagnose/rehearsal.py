"""Trains a part of a run in a temporary folder, and records what two trainings must have in common."""

from __future__ import annotations

import os
import signal
from collections.abc import Generator, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from artschool.engine.logger import Record
from artschool.engine.run import Run
from artschool.engine.run_state import RunState
from artschool.engine.streams import Stream
from artschool.engine.whole_state import State, saved_state, text_of, unsaved_state
from artschool.errors import Stopped
from artschool.start import load


@dataclass
class Recording:
    """What a part of a training was like.

    Attributes:
        first: The number of finished iterations before it.
        last: The number of finished iterations after it.
        inactive: The steps that have not run, each with the iteration from which it may.
        start: What checkpoints contain and what they do not, before the first iteration.
        end: The same after the last iteration.
        numbers: The logged numbers by iteration.
        batches: A hash of each batch, by stream and position.
    """

    first: int
    last: int
    inactive: dict[str, int]
    start: tuple[State, State]
    end: tuple[State, State]
    numbers: dict[int, dict[str, str]] = field(default_factory=dict)
    batches: dict[tuple[str, int], str] = field(default_factory=dict)


@dataclass(frozen=True)
class Rehearsal:
    """A part of a training: from the newest checkpoint in a folder, if there is one, to an iteration.

    Attributes:
        end: Number of iterations in the training, counted from its first one.
        stop: After this many iterations, the process gets SIGTERM. None: it does not.
    """

    config: Path
    overrides: Sequence[str]
    folder: Path
    end: int
    stop: int | None = None

    def __call__(self) -> Recording:
        """Train."""
        run = load(self.config, self.overrides, run_dir=self.folder)
        begin = run.sections.train.start_iteration
        run.iterations = min(run.iterations, begin + self.end)
        run.sections = run.sections.model_copy(update={"log": run.sections.log.model_copy(update={"every": 1})})
        first, start = run.iteration, _states(run)
        recorder = _Recorder(run, None if self.stop is None else begin + self.stop)
        run.loggers = [recorder]
        with suppress(*([Stopped] if self.stop is not None else [])):
            run.train()
        ran = range(first, run.iteration)
        inactive = {s.graph.name: s.graph.when.after for s in run.steps if not any(s.graph.when.active(i) for i in ran)}
        return Recording(first, run.iteration, inactive, start, _states(run), recorder.numbers, recorder.batches)


def _states(run: Run) -> tuple[State, State]:
    return saved_state(run), unsaved_state(run)


class _Recorder:
    """A logger that keeps numbers, hashes the batches of a run, and sends SIGTERM after an iteration."""

    def __init__(self, run: Run, stop: int | None) -> None:
        self._stop = stop
        self.numbers: dict[int, dict[str, str]] = {}
        self.batches: dict[tuple[str, int], str] = {}
        for stream in run.streams.by_name.values():
            self._watch(stream)

    def start(self, run: RunState) -> None:
        """Ignored."""

    def advance(self, run: RunState) -> None:
        """Stop the process as a queue does, if it is time."""
        if run.iteration == self._stop:
            os.kill(os.getpid(), signal.SIGTERM)

    def log(self, record: Record) -> None:
        """Keep the numbers."""
        numbers = {name: repr(value) for name, value in record.items() if name not in ("iteration", "seconds")}
        self.numbers[int(record["iteration"])] = numbers

    def picture(self, key: str, iteration: int, values: Tensor) -> None:
        """Ignored."""

    def note(self, message: str) -> None:
        """Ignored."""

    def close(self) -> None:
        """Ignored."""

    def _watch(self, stream: Stream) -> None:
        """Keep a hash of each batch of a stream."""
        loads = stream.load

        def load_batches(start: int, stop: int | None, device: torch.device) -> Generator[dict[str, Any]]:
            with closing(loads(start, stop, device)) as loaded:
                for position, batch in enumerate(loaded, start):
                    self.batches[stream.name, position] = text_of(batch)
                    yield batch

        stream.load = load_batches  # type: ignore[method-assign]  # of this run only
