"""Train some iterations in a folder that is deleted afterwards, and measure them."""

from __future__ import annotations

import os
from collections.abc import Callable, Generator, Sequence
from contextlib import closing
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch
from torch import nn

from artschool import ranks
from artschool.build.run import build
from artschool.config.report_sections import CheckpointSection
from artschool.config.structure import Config
from artschool.engine.optimizers import skips_on_device
from artschool.engine.run import Run
from artschool.engine.streams import Part, Stream
from artschool.errors import ResourceError, Stopped
from artschool.logs.jsonl import JsonlLogger
from artschool.logs.pictures import PictureLogger
from artschool.logs.tensorboard import TensorBoardLogger
from artschool.paths import is_file
from artschool.profiling.hints import hints
from artschool.profiling.instrument import instrumented
from artschool.profiling.machine import machine_of
from artschool.profiling.measures import Clock, Counter, CudaClock, HostClock
from artschool.profiling.parts import Measure, Recorder, waiting_for
from artschool.profiling.report import Profile
from artschool.storage.durable import translate_disk_errors

TRACED = 2
"""Number of iterations in a trace of torch's profiler."""

Batches = Generator[dict[str, Part]]


def profile(
    config: Config,
    *,
    iterations: int = 20,
    warmup: int = 5,
    trace: Path | None = None,
    note: Callable[[str], None] = lambda message: None,
) -> Profile:
    """Train a checked file for some iterations, from its first one, and measure its parts.

    The run folder of the file is neither read nor written. Nothing is evaluated or saved, and the file's own loggers do
    not run.

    Args:
        iterations: Number of iterations to time, at least 1.
        warmup: Number of iterations before them.
        trace: A file for a Chrome trace of two further iterations. None: no trace.
        note: Called with messages for the user.

    Raises:
        ArtschoolError: The run cannot be built, or its training fails.
    """
    with TemporaryDirectory(prefix="artschool-profile-") as folder:
        run = build(config, Path(folder), note=note)
        _leave_out(run)
        session = _Session(run, config, iterations, warmup, trace)
        try:
            session.train()
        except Stopped as stop:
            raise Stopped("stopped before the profile was complete", stop.exit_code) from None
    result = session.result()
    result.hints += hints(result)
    return result


def _write_trace(profiler: torch.profiler.profile, file: Path) -> None:
    """Write a Chrome trace.

    Raises:
        ResourceError: The disk is full or cannot be written.
    """
    with translate_disk_errors(file, 0), TemporaryDirectory(prefix=".tmp-", dir=file.parent) as folder:
        written = Path(folder) / file.name
        profiler.export_chrome_trace(str(written))
        if not is_file(written):  # torch logs why, and raises nothing.
            raise ResourceError(f"{file}: torch could not write the trace. Fix: free some space, or name another file")
        os.replace(written, file)  # noqa: PTH105  as elsewhere


def _leave_out(run: Run) -> None:
    """Let a run neither evaluate nor save, and log only into its folder."""
    run.is_kept = False
    run.evaluations = []
    run.sections = run.sections.model_copy(update={"checkpoint": CheckpointSection()})
    if ranks.is_main():
        run.loggers = [JsonlLogger(), PictureLogger(), TensorBoardLogger()]


class _Session:
    """The iterations of a profile: warm-up, timed ones, those of the trace, and one that is counted."""

    def __init__(self, run: Run, config: Config, iterations: int, warmup: int, trace: Path | None) -> None:
        self._run, self._config = run, config
        self._iterations, self._warmup, self._trace = iterations, warmup, trace
        self._first = run.iteration + warmup
        self._recorder = Recorder()
        self._clock: Clock = CudaClock() if run.device.type == "cuda" else HostClock()
        self._durations: Sequence[float] = ()
        self._error: Exception | None = None

    def train(self) -> None:
        """Train all iterations."""
        run = self._run
        total = self._warmup + self._iterations + TRACED + 1
        run.iterations = max(run.iterations, run.iteration + total + 1)  # At its end, a run saves and evaluates.
        for stream in run.streams.by_name.values():
            self._watch(stream)
        iterations = run.streams.iterations
        run.streams.iterations = lambda number, device: self._batches(iterations(number, device))  # type: ignore[method-assign]  # of this run only
        with instrumented(run, self._config, self._recorder):
            run.train()
        if self._error is not None:
            raise self._error

    def result(self) -> Profile:
        """What was measured."""
        ran = range(self._first, self._first + self._iterations)
        return Profile(
            self._config,
            machine_of(self._run),
            self._recorder.root,
            self._iterations,
            self._warmup,
            self._first,
            self._durations,
            ranks.world_size(),
            unfused=[
                step.graph.name
                for step in self._run.steps
                if step.update is not None and not skips_on_device(step.update.optimizer)
            ],
            in_train_mode=_frozen_in_train_mode(self._run),
            has_convolutions=any(
                isinstance(module, nn.modules.conv._ConvNd)
                for network in self._run.networks.values()
                for module in network.modules()
            ),
            inactive=[s.graph.name for s in self._run.steps if not any(s.graph.when.active(i) for i in ran)],
        )

    def _batches(self, loaded: Batches) -> Batches:
        """The batches of all iterations. Each is yielded while its iteration is measured, and ends with the next.

        An error of the data set ends them, since the loop would save the run.
        """
        with closing(loaded):
            try:
                for _ in range(self._warmup):
                    yield next(loaded)
                yield from self._timed(loaded)
                if self._trace is not None:
                    yield from self._traced(loaded, self._trace)
                with Counter(self._run) as counter:
                    yield from self._measured(loaded, counter)
            except Exception as error:  # `profile` raises it after the loop, which would save a checkpoint.
                self._error = error

    def _timed(self, loaded: Batches) -> Batches:
        marks = [self._clock.mark()]
        for _ in range(self._iterations):
            yield from self._measured(loaded, self._clock)
            marks.append(self._clock.mark())
        self._durations = self._clock.finish(marks)

    def _traced(self, loaded: Batches, file: Path) -> Batches:
        self._recorder.annotates = True
        with torch.profiler.profile(acc_events=True) as profiler:  # Without it, some versions of torch warn.
            for _ in range(TRACED):
                yield next(loaded)
        self._recorder.annotates = False
        if ranks.is_main():
            _write_trace(profiler, file)

    def _measured(self, loaded: Batches, measure: Measure) -> Batches:
        with self._recorder.iteration(measure):
            yield next(loaded)

    def _watch(self, stream: Stream) -> None:
        """Measure how long training waits for each batch of a stream."""
        data, load = self._config.data[stream.name], stream.load

        def waited(loaded: Generator[dict[str, Any]]) -> Generator[dict[str, Any]]:
            with closing(loaded):
                while True:
                    with self._recorder.part(waiting_for(stream.name), data.path, data.node.place):
                        batch = next(loaded, None)
                    if batch is None:
                        return
                    yield batch

        stream.load = lambda start, stop, device: waited(load(start, stop, device))  # type: ignore[method-assign]  # of this run only


def _frozen_in_train_mode(run: Run) -> list[str]:
    """The networks of which no step trains a parameter, but of which a module is in train mode."""
    trained = {p for step in run.steps if step.update is not None for p in step.update.parameters}
    return [
        name
        for name, network in run.networks.items()
        if trained.isdisjoint(network.parameters()) and any(module.training for module in network.modules())
    ]
