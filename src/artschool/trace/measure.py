"""Measure memory, operations and messages of one of several processes, by training without values."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch
from torch import Tensor
from torch.utils._pytree import tree_leaves

from artschool import ranks
from artschool.build.data import build_data
from artschool.build.run import build
from artschool.config.parallel import sharded_networks
from artschool.config.streams import TRAIN, streams
from artschool.config.structure import Config
from artschool.data.seeds import derive, forked_rng
from artschool.engine.freeze import all_frozen
from artschool.engine.hooks import hooks
from artschool.engine.micro_batches import MicroBatches
from artschool.engine.optimizers import skips_on_device
from artschool.engine.room import checkpoint_bytes, checkpoints_kept
from artschool.engine.run import Run
from artschool.engine.streams import Part
from artschool.engine.train_step import TrainStep
from artschool.engine.update import Update
from artschool.errors import ArtschoolError, ConfigError
from artschool.trace.batch_sizes import TracedBatches
from artschool.trace.cuda_autocast import cuda_autocast
from artschool.trace.fake import fake_tensors, is_about_missing_values
from artschool.trace.first_batches import MAX_SAMPLES, batch_size
from artschool.trace.memory import OFFLOADED, OPTIMIZER, LiveBytes, Memory
from artschool.trace.observe import failure
from artschool.trace.regimes import regimes
from artschool.trace.work import Work, WorkCounter

AVERAGES_UPDATE = "averages"
"""The part of an iteration that updates moving averages."""
FIX_OF_UNITS = (
    "Fix: in `wrap`, name only modules that are called themselves, or write `parallel: replicate` for the network."
)
CUDA_BLOCK = 512
"""torch's allocator on CUDA rounds the size of a tensor up to a multiple of so many bytes."""


@dataclass
class Measured:
    """What training takes in one of several processes.

    Attributes:
        processes: The number of processes.
        samples: The number of samples of its largest micro-batch.
        parts: The number of its micro-batches in an iteration that has most of them.
        memory: Bytes in use. `lasting` also counts the batch.
        regimes: The first iteration of each regime, and the number of iterations of the regime.
        work: Operations and messages of an iteration: by the first iteration of its regime, and by step.
        checkpoint: Bytes of one checkpoint, over all processes.
        kept: Number of checkpoints on disk at once.
    """

    processes: int
    samples: int
    parts: int
    memory: Memory = field(default_factory=Memory)
    regimes: Mapping[int, int] = field(default_factory=dict)
    work: dict[int, dict[str, Work]] = field(default_factory=dict)
    checkpoint: int = 0
    kept: int = 0


def measure(
    config: Config, processes: int, *, samples: int | None = None, cuda: bool = False, real: bool = False
) -> Measured:
    """Run an iteration of each regime as one of several processes, which do not have to exist.

    Nothing is written, and the state of the random generators is restored.

    Args:
        config: A checked file.
        processes: The number of processes.
        samples: The number of samples of a micro-batch of one process. None: that of the file.
        cuda: Whether to measure as on CUDA: memory in blocks of `CUDA_BLOCK` bytes, and the types of its autocast.
        real: Whether tensors have values, since something needs them.

    Raises:
        ConfigError: A step fails.
        DataError: A batch cannot be loaded, or has fewer samples than there are processes.
    """
    with (
        forked_rng(derive(config.sections.seed, "trace"), torch.device("cpu")),
        ranks.pretended(processes),
        TemporaryDirectory() as folder,
        cuda_autocast() if cuda else nullcontext(),
    ):
        loaders = build_data(config, examples=True)
        batches = {name: loaders[name].first(min(MAX_SAMPLES, batch_size(config, name))) for name in streams(config)}
        with nullcontext(nullcontext()) if real else fake_tensors() as copyable:
            with copyable:
                run = build(config, Path(folder), device=torch.device("cpu"), loaders=loaders)
            for update in _updates(run):
                update.exchange.keeps_memory = not cuda
            return _Measurement(config, run, batches, processes, samples, CUDA_BLOCK if cuda else 1).result()


class _Measurement:
    """Trains one iteration of each regime."""

    def __init__(
        self,
        config: Config,
        run: Run,
        batches: Mapping[str, Mapping[str, Any]],
        processes: int,
        samples: int | None,
        granularity: int,
    ) -> None:
        self._config = config
        self._run = run
        self._batches = TracedBatches(config.sections.train, run.streams, run.iterations, processes)
        self._samples_of = batches
        self._samples = samples
        self._bytes: Counter[str] = Counter()
        train = config.sections.train
        self._live = LiveBytes(granularity)
        self._counter = WorkCounter()
        starts = {start for step in run.steps for start in step.starts}
        self._found = Measured(
            processes,
            self._sizes([TRAIN], train.start_iteration)[TRAIN],
            1,
            regimes=regimes(config, run.iterations, starts),
        )

    def result(self) -> Measured:
        """What was found."""
        run, found = self._run, self._found
        run.context.training = True
        updates = _updates(run)
        for update in updates:
            if not skips_on_device(update.optimizer):
                update.skip_non_finite = False  # It would ask whether gradients are finite, which needs values.
        with all_frozen(run.networks.values()), self._live.watched_updates(updates), self._live, self._counter:
            found.memory.of_run(run, self._live)
            for iteration in found.regimes:
                self._measure(iteration)
            found.memory.of_run(run, self._live)
        found.memory.lasting["batch"] = self._bytes_of_batches()
        found.checkpoint = checkpoint_bytes(run) + _bytes_of_optimizers(updates)
        found.kept = checkpoints_kept(self._config.sections.checkpoint, run.iterations)
        return found

    def _sizes(self, streams: Sequence[str], iteration: int) -> dict[str, int]:
        """The sizes of a micro-batch. All grow with that of `train`, if its size is given."""
        own = self._batches.sizes([TRAIN], iteration)[TRAIN]
        samples = self._samples or own
        return {name: -(-size * samples // own) for name, size in self._batches.sizes(streams, iteration).items()}

    def _take(self, streams: Sequence[str], iteration: int) -> dict[str, Part]:
        """A batch of each of some streams."""
        sizes, parts = self._sizes(streams, iteration), self._config.sections.train.num_micro_batches(iteration)
        for name, size in sizes.items():
            self._bytes[name] = max(self._bytes[name], parts * size * _bytes_of_a_sample(self._samples_of[name]))
        return self._batches.parts(self._samples_of, sizes, parts, self._found.processes)

    def _bytes_of_batches(self) -> int:
        """The bytes of the batches of an iteration, and of those that a step takes for itself, where they are most."""
        taken = max((sum(self._bytes[name] for name in step.data) for step in self._run.steps), default=0)
        return sum(self._bytes[name] for name in self._run.streams.fed) + taken

    def _measure(self, iteration: int) -> None:
        """Measure an iteration once it creates no more state of optimizers."""
        found, created = self._found, -1
        while created:
            known, memory = self._bytes_of_optimizers(), Memory()
            found.work[iteration] = dict(self._iterate(iteration, memory))
            created = self._bytes_of_optimizers() - known
        for name, peak in memory.steps.items():
            found.memory.add_peak(name, peak)

    def _bytes_of_optimizers(self) -> int:
        return self._live.live[OPTIMIZER] + self._live.live[OFFLOADED]

    def _iterate(self, iteration: int, memory: Memory) -> Iterator[tuple[str, Work]]:
        """Run an iteration. Yields what each step and the averages take."""
        run = self._run
        run.iteration = run.context.iteration = iteration
        for _, hook in hooks(run.networks, "update_for_step"):
            hook(iteration, run.folder)
        size, parts = self._sizes([TRAIN], iteration)[TRAIN], self._config.sections.train.num_micro_batches(iteration)
        self._found.samples, self._found.parts = max(self._found.samples, size), max(self._found.parts, parts)
        take = partial(self._take, iteration=iteration)
        states = MicroBatches(take(run.streams.fed), parts, run.device, take)
        moved: dict[str, list[Tensor | None]] = {}
        for step in run.steps:
            if step.graph.when.active(iteration):
                with self._counter.counted() as work, self._faults_of(step):
                    self._step(step, states, memory, moved)
                if step.update is not None and not moved.keys().isdisjoint(step.networks):
                    work.offloaded = _bytes_of_offloaded(step.update)
                yield step.graph.name, work
        with self._counter.counted() as work:
            for ema in run.emas.values():
                ema.follow(iteration, moved)
        yield AVERAGES_UPDATE, work
        run.meters.clear()

    @contextmanager
    def _faults_of(self, step: TrainStep) -> Iterator[None]:
        """Turn errors of a step into faults of the file. One process may train it: the trace has no shards."""
        try:
            yield
        except ArtschoolError:
            raise
        except Exception as error:  # The code of a component can raise anything.
            if is_about_missing_values(error):
                raise
            name, number = step.graph.name, self._found.processes
            what = "fails" if number == 1 else f"fails as one of {number} processes"
            fault = failure(self._config.steps[name].node.place, f"steps.{name}", what, error)
            fix = FIX_OF_UNITS if sharded_networks(self._config) else ""
            hints = [fault.hint, *getattr(error, "__notes__", []), fix]
            raise ConfigError(replace(fault, hint="\n".join(hint for hint in hints if hint))) from error

    def _step(
        self, step: TrainStep, states: MicroBatches, memory: Memory, moved: dict[str, list[Tensor | None]]
    ) -> None:
        """Run a step as often as it repeats, and note which networks it moved."""
        self._live.start()
        for own in step.batches(states):
            for name, skipped in step.run(own, self._run.context).items():
                moved.setdefault(name, []).append(skipped)
                ranks.broadcast(step.networks[name].buffers())
        memory.of_step(step, self._live)


def _updates(run: Run) -> list[Update]:
    return [step.update for step in run.steps if step.update is not None]


def _bytes_of_offloaded(update: Update) -> int:
    offloaded = update.scheduled.offloaded
    return 0 if offloaded is None else sum(host.nbytes for host in offloaded.hosts)


def _bytes_of_a_sample(batch: Mapping[str, Any]) -> int:
    return sum(value[:1].nbytes for value in batch.values() if isinstance(value, Tensor))


def _bytes_of_optimizers(updates: Iterable[Update]) -> int:
    """The bytes of the state of optimizers, over all processes."""
    state = tree_leaves([list(update.optimizer.state.values()) for update in updates if update.owns_optimizer])
    return sum(value.nbytes for value in state if isinstance(value, Tensor))
