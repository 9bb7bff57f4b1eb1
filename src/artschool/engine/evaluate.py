"""Evaluations: steps, injectors and metrics over held-out data, divided among processes."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from functools import cached_property, partial
from typing import Any

import torch
from torch import Tensor, nn

from artschool import ranks
from artschool.config.streams import TRAIN, key_in
from artschool.data.collate import size_of
from artschool.data.loader import Loader
from artschool.data.sampler import Batches, SharedEpoch
from artschool.data.seeds import Seeds, forked_rng, seed_all
from artschool.data.to_device import to_device
from artschool.engine.ema import Ema
from artschool.engine.eval_mode import in_eval_mode, with_state_kept
from artschool.engine.exits import without_exits
from artschool.engine.meters import Meters
from artschool.engine.metrics import Accumulator
from artschool.engine.out_of_memory import explain_batch
from artschool.engine.samples import Samples
from artschool.engine.signals import interruptible, until_signal, waited
from artschool.engine.streams import Part
from artschool.engine.together import together
from artschool.errors import NumericsError
from artschool.steps.call import Call, InjectorCall, LossCall, describe_value
from artschool.steps.state import State
from artschool.steps.step import RecordLoss, Step
from artschool.storage.processes import ended_if_forked

Batch = Mapping[str, Any]
Progress = Callable[[int], object]


@dataclass
class Evaluation:
    """An evaluation of the config file.

    Attributes:
        every: Number of iterations between two evaluations. None: only at the end of the run.
        steps: Steps that run first, without training. The means of their losses are part of the result.
        injectors: Injectors that run after the steps.
        metrics: By name, the call that updates a metric, and the metric itself.
        networks: Every network and module that the evaluation calls. They are in eval mode while it runs, and their
            buffers and attributes are the same afterwards as before.
        check_values: Called once, with the values of the first batch.
        is_even: Whether every process runs equally many batches, since sharded networks wait for all processes. What a
            process runs in addition is not recorded.
        channels_last: Whether images get this memory format.
        averages: The averages that the evaluation calls. While it runs, they are on the device as a whole.
        streams: The streams in whose place the steps read the data.
        samples: What is shown of the first samples. None: nothing.
        see: Called with each batch. None: nothing looks.
        progress: Called after each batch of this process with the number of finished batches of all processes.
    """

    name: str
    every: int | None
    loader: Loader
    batches: Batches
    steps: Sequence[Step]
    injectors: Sequence[InjectorCall]
    metrics: Mapping[str, tuple[Call, Accumulator]]
    networks: Sequence[nn.Module]
    check_values: Callable[[Mapping[str, Any]], None] | None = None
    is_even: bool = False
    channels_last: bool = False
    averages: Sequence[Ema] = ()
    streams: Sequence[str] = (TRAIN,)
    samples: Samples | None = None
    see: Callable[[Mapping[str, Any]], None] | None = None
    progress: Progress = lambda done: None

    def is_due(self, finished: int, last: int) -> bool:
        """Whether it runs after `finished` iterations: at multiples of `every`, and after the last iteration."""
        return finished == last or (self.every is not None and finished % self.every == 0)

    def run(self, iteration: int, device: torch.device) -> dict[str, float]:
        """Evaluate. Weights, buffers, attributes, modes and random generators are the same afterwards as before.

        The workers wait for the next evaluation, until `Loader.end_workers`.

        Each batch has its own seed. It is the same for every number of processes and workers, and at every iteration,
        so two evaluations differ only by the weights.

        Args:
            iteration: Number of finished iterations. The steps run as at the last of them.

        Raises:
            Interrupted: A signal has arrived in any process. All of them stop after equally many batches.

        Returns:
            Values by name: `<evaluation>/<metric>` and `<evaluation>/<step>/<loss>`.
        """
        rank, world_size = ranks.rank(), ranks.world_size()
        sampler = SharedEpoch(self.batches, rank, world_size, self.is_even)
        seeds = Seeds(self.loader.seed, "evaluate", self.name)
        losses = Meters()
        for _, metric in self.metrics.values():
            metric.reset()
        batches = self.loader.load(sampler, device, keep_workers=True)
        with ExitStack() as stack:
            stack.enter_context(ended_if_forked(lambda: f"evaluate.{self.name}"))
            for ema in self.averages:
                stack.enter_context(ema.on_device())
            stack.enter_context(forked_rng(seeds(), device))
            stack.enter_context(in_eval_mode(self.networks))
            stack.enter_context(with_state_kept(self.networks))
            stack.enter_context(torch.no_grad())
            stack.enter_context(closing(batches))
            counted = _counted(batches, sampler, self.progress)
            work = partial(self._run_batches, counted, sampler, max(iteration - 1, 0), losses, device)
            if self.is_even:  # The others wait inside of networks.
                work()
            else:
                together(work)
            if self.samples is not None:
                self.samples.gather()
            # Before the state of metrics is restored.
            metrics = {f"{self.name}/{name}": self._value(name, metric) for name, (_, metric) in self.metrics.items()}
        return {f"{self.name}/{name}": value for name, value in losses.drain().items()} | metrics

    def _run_batches(
        self,
        batches: Iterator[Mapping[str, Any]],
        sampler: SharedEpoch,
        iteration: int,
        losses: Meters,
        device: torch.device,
    ) -> None:
        """The part of this process. An error is raised when the other processes have had their turns, too."""
        seeds = Seeds(self.loader.seed, "evaluate", self.name)
        failures: list[Exception] = []
        for index, batch in enumerate(until_signal(_until_error(waited(batches), failures), sampler.rounds)):
            if failures:
                continue
            # A sampler may take minutes for a batch, and the last finished iteration can be saved meanwhile.
            with interruptible(), _caught(failures, partial(self._explain, batch, sampler, index)):
                if self.see is not None:
                    self.see(batch)
                seed_all(seeds(ranks.rank() + index * ranks.world_size()), device)
                state = self.state(to_device(batch, device, channels_last=self.channels_last))
                if index >= sampler.own:
                    self._compute(state, iteration, _ignore)
                    continue
                self.forward(state, iteration, partial(self._record, losses, state, size_of(batch)))
                if self.samples is not None:
                    self.samples.add(ranks.rank() + index * ranks.world_size(), state.values)
                if self.check_values is not None:
                    self.check_values(state.values)
                    self.check_values = None
            if failures and self.is_even:  # The others wait inside of networks.
                break
        if failures:
            raise failures[0]

    def state(self, batch: Mapping[str, Any]) -> State:
        """The values of a batch, under the names that they have in each stream."""
        values = {key_in(stream, key): value for stream in self.streams for key, value in batch.items()}
        return State(values, writer=self.loader.name)

    def forward(self, state: State, iteration: int, record: RecordLoss) -> None:
        """Run the steps, the injectors and the metrics on one batch. Gates of steps are those of `iteration`."""
        self._compute(state, iteration, record)
        for call, _ in self.metrics.values():
            call(state)

    def _compute(self, state: State, iteration: int, record: RecordLoss) -> None:
        for step in self.steps:
            if step.when.active(iteration):
                step.compute(state, iteration, record)
        for injector in self.injectors:
            injector(state)

    def _record(self, losses: Meters, state: State, size: int, name: str, value: Tensor) -> None:
        """Add the loss of a batch, weighted by its samples or by the places that it is a mean over."""
        loss = self._losses[name]
        weight = float(size if loss.count is None else loss.places(state))
        if weight:
            losses.add(name, value, weight)

    @cached_property
    def _losses(self) -> dict[str, LossCall]:
        return {loss.name: loss for step in self.steps for loss in step.losses}

    def _explain(self, batch: Batch, sampler: SharedEpoch, index: int, error: Exception) -> None:
        """If a batch has run out of memory, raise an error that names it."""
        where = f"evaluate.{self.name}: batch {sampler.number(index) + 1} of {self.batches.per_epoch}"
        part = Part(batch, size_of(batch), partial(sampler.positions, index))
        explain_batch(error, where, self.loader.name.removeprefix("data."), part)

    def _value(self, name: str, metric: Accumulator) -> float:
        value = metric.compute()
        if isinstance(value, Tensor) and value.numel() != 1:
            raise NumericsError(
                f"evaluate.{self.name}.metrics.{name}: expected one value, got a tensor of shape {tuple(value.shape)}. "
                "Fix: set the option of the metric that averages them"
            )
        try:
            return float(value)
        except (TypeError, ValueError):
            raise NumericsError(
                f"evaluate.{self.name}.metrics.{name}: expected one value from `compute`, got {describe_value(value)}"
            ) from None


def _ignore(name: str, value: Tensor) -> None:
    """Record nothing."""


def _counted(batches: Iterator[Batch], sampler: SharedEpoch, progress: Progress) -> Iterator[Batch]:
    """The batches. Tells the progress when the next one is asked for."""
    for index, batch in enumerate(batches, 1):
        yield batch
        progress(min(index * sampler.world_size, sampler.batches.per_epoch))


@contextmanager
def _caught(failures: list[Exception], explain: Callable[[Exception], None]) -> Iterator[None]:
    try:
        with without_exits():
            try:
                yield
            except Exception as error:
                explain(error)
                raise
    except Exception as error:  # Raised later: the other processes wait for this one in each batch.
        failures.append(error)


def _until_error(batches: Iterator[Any], failures: list[Exception]) -> Iterator[Any]:
    try:
        yield from batches
    except Exception as error:  # As above.
        failures.append(error)
