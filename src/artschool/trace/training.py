"""Train micro-batches of each regime by the steps that are active in it, and record which parameters get a gradient."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from itertools import islice
from typing import Any

from torch import Tensor, nn

from artschool.config.structure import Config
from artschool.engine.freeze import all_frozen
from artschool.engine.hooks import hooks
from artschool.engine.micro_batches import MicroBatches
from artschool.engine.optimizers import skips_on_device
from artschool.engine.run import Run
from artschool.engine.streams import Part
from artschool.engine.train_step import TrainStep
from artschool.errors import ConfigError
from artschool.faults import Fault, FaultKind
from artschool.trace.batch_sizes import TracedBatches
from artschool.trace.fake import is_about_missing_values
from artschool.trace.first_batches import Samples
from artschool.trace.memory import LiveBytes, Memory
from artschool.trace.observe import Observer, Untraceable, components_of_file, failure, observe
from artschool.trace.regimes import regimes, representatives
from artschool.trace.saved import SavedState

RETRIES = 4
"""How often regimes run again for parameters without a gradient, since networks may choose their layers at random."""


class TrainingTrace:
    """Trains the steps of a run, without updates that depend on values, and records what happens.

    Args:
        samples: Sets of some samples of each data set; micro-batches are made of repetitions of them.
        world_size: The number of processes that will share a batch.
        real: Whether tensors have values.

    Attributes:
        iterations: The first iteration of each regime. A regime runs only if a step runs in it as in no other.
        saved: What a checkpoint has to hold.
        trainable: The parameters that a step could move at some iteration, by step.
        reached: The parameters that got a gradient, by step. `Gradients` knows them by loss.
        logged: The names of the numbers that steps have logged.
        world_size: The number of processes that will share a batch.
    """

    def __init__(self, config: Config, run: Run, samples: Sequence[Samples], world_size: int, *, real: bool) -> None:
        self.run = run
        self.world_size = world_size
        self._config = config
        self._samples = samples
        self._batches = TracedBatches(config.sections.train, run.streams, run.iterations, world_size)
        averages = {ema.name: ema.module for ema in run.emas.values()}
        modules = {**run.networks, **averages, **run.modules}
        self.observer = Observer(components_of_file(config), modules, real=real)
        self.memory = Memory()
        self.saved = SavedState(config, run)
        self.notes: list[str] = []
        self.trainable: dict[str, set[nn.Parameter]] = {}
        self.reached: dict[str, set[nn.Parameter]] = {step.graph.name: set() for step in run.steps}
        self.logged: set[str] = set()
        starts = {start for step in run.steps for start in step.starts}
        self.iterations = list(regimes(config, run.iterations, starts))
        # A network that knows the iteration may behave differently at each.
        depends_on_iteration = bool(run.update_hooks or starts)
        self._traced = self.iterations if depends_on_iteration else representatives(config, self.iterations)
        self._live = LiveBytes()
        self._faults: list[Fault] = []
        self._step: TrainStep | None = None

    @property
    def faults(self) -> list[Fault]:
        """All faults that were found."""
        return [*self._faults, *self.observer.changes, *self.observer.gradients.faults]

    def run_regimes(self) -> None:
        """Run every regime.

        Raises:
            Untraceable: Something needs the values of tensors, which are missing.
        """
        updates = [step.update for step in self.run.steps if step.update is not None]
        for step in self.run.steps:
            observe(step.graph, self.observer)
        for update in updates:
            if not skips_on_device(update.optimizer):
                update.skip_non_finite = False  # It would ask whether gradients are finite, which needs values.
        with (
            self._watched_gradients(),
            self._live.watched_updates(updates),
            all_frozen(self.run.networks.values()),
            self._live,
        ):
            self.memory.of_run(self.run, self._live)
            for iteration in self._traced:
                for is_small in self._batches.kinds(iteration):
                    self._iterate(iteration, is_small=is_small)
            self.memory.of_run(self.run, self._live)
            if not self.faults:
                self._prove_reaches()
            self._retry_unreached()

    def unreached(self, step: TrainStep) -> list[nn.Parameter]:
        """The parameters that a step trains in the run and that got no gradient.

        If the step trains a part of a network, another step may train the rest.
        """
        if step.update is None or step.graph.name not in self.observer.gradients.steps_with_losses:
            return []
        own, anywhere = self.reached[step.graph.name], set().union(*self.reached.values())
        trained = [anywhere if not own.isdisjoint(network.parameters()) else own for network in step.networks.values()]
        missed = {
            parameter
            for network, reached in zip(step.networks.values(), trained, strict=True)
            for parameter in network.parameters()
            if parameter not in reached
        }
        missed &= self.trainable.get(step.graph.name, set())  # Others thaw after the last iteration.
        return [parameter for parameter in step.update.parameters if parameter in missed]

    def _prove_reaches(self) -> None:
        """Find what losses with custom autograd functions reach, by a backward from each of them alone."""
        gradients = self.observer.gradients
        for (path, _), unproven in gradients.unproven.items():
            if unproven.fault is not None or self._has_unexplained_gradients(gradients.reaches[path].step):
                gradients.isolated_loss = path
                self._iterate(unproven.iteration)
        gradients.isolated_loss = ""
        gradients.faults += [unproven.fault for unproven in gradients.unproven.values() if unproven.fault is not None]

    def _has_unexplained_gradients(self, step: str) -> bool:
        """Whether parameters of a step got a gradient that no loss is known to give."""
        reached = [reach.networks.items() for reach in self.observer.gradients.reaches.values() if reach.step == step]
        known = {(network, name) for networks in reached for network, names in networks for name in names}
        return len(known) < len(self.reached[step])

    def _retry_unreached(self) -> None:
        """Run regimes again while chance may explain that parameters have no gradient."""
        for iteration in self._traced * RETRIES:
            if self.faults or not any(self._is_partly_unreached(step) for step in self.run.steps):
                return
            self._iterate(iteration)

    def _is_partly_unreached(self, step: TrainStep) -> bool:
        """Whether a network of a step has parameters with a gradient and parameters without one."""
        missed, reached = set(self.unreached(step)), self.reached[step.graph.name]
        return any(
            not missed.isdisjoint(network.parameters()) and not reached.isdisjoint(network.parameters())
            for network in step.networks.values()
        )

    def _iterate(self, iteration: int, *, is_small: bool = False) -> None:
        """Run one iteration with its largest or its smallest micro-batches of each set of samples."""
        for samples in self._samples:
            self._iterate_on(samples, iteration, is_small=is_small)

    def _iterate_on(self, samples: Samples, iteration: int, *, is_small: bool) -> None:
        """Run one iteration. The first fault ends it."""
        run, context = self.run, self.run.context
        run.iteration = context.iteration = iteration
        context.training = True
        # The second micro-batch differs from the first: gradients exist, and calls with `once` have run.
        count = min(2, self._config.sections.train.num_micro_batches(iteration))
        sizes: dict[str, int] = {}

        def take(streams: Sequence[str]) -> dict[str, Part]:
            sizes.clear()
            sizes.update(self._batches.sizes(streams, iteration, is_small=is_small))
            shown = self._batches.parts(samples, sizes, 1).values()
            values = {key: value for part in shown for key, value in part.values.items()}
            self.observer.begin(values, {name: self._config.data[name] for name in streams})
            return self._batches.parts(samples, sizes, count)

        try:
            self._update_for_step(iteration)
            channels_last = run.sections.train.channels_last
            states = MicroBatches(take(run.streams.fed), count, run.device, take, channels_last=channels_last)
            moved: dict[str, list[Tensor | None]] = {}
            for step in run.steps:
                if step.graph.when.active(iteration):
                    self._run_step(step, states, iteration, moved)
            self._update_averages(iteration, moved)
        except ConfigError as error:
            self._add_faults(error.faults, iteration, sizes)
        finally:
            context.training = False
            self.logged |= run.meters.names
            run.meters.clear()

    def _add_faults(self, faults: list[Fault], iteration: int, sizes: Mapping[str, int]) -> None:
        """Keep faults at new locations, with a remark about the size of the micro-batch if that may be the cause."""
        known = {(fault.place, fault.path) for fault in self._faults}
        is_small = sizes != self._batches.sizes(sizes, iteration) if sizes else False
        hint = self._batches.explain(iteration, sizes) if sizes else ""
        for fault in faults:
            if (fault.place, fault.path) not in known:
                needs_hint = is_small or fault.kind is FaultKind.BATCH_TOO_SMALL
                self._faults.append(_with_hint(fault, hint) if needs_hint else fault)

    def _update_for_step(self, iteration: int) -> None:
        for name, hook in hooks(self.run.networks, "update_for_step"):
            place, path = self._config.networks[name].node.place, f"networks.{name}"
            try:
                hook(iteration, self.run.folder)
            except Exception as error:  # The code of a plugin can raise anything.
                if not self.observer.real and is_about_missing_values(error):
                    raise Untraceable(f"{place}: {path} reads the values of tensors in update_for_step") from error
                raise ConfigError(failure(place, path, "update_for_step failed", error)) from error

    def _update_averages(self, iteration: int, moved: Mapping[str, list[Tensor | None]]) -> None:
        for name, ema in self.run.emas.items():
            place, path = self._config.tree.at(("ema", "networks", name)).place, f"ema.networks.{name}"
            try:
                ema.follow(iteration, moved)
            except Exception as error:  # It copies modules, and their code can raise anything.
                if not self.observer.real and is_about_missing_values(error):
                    raise Untraceable(f"{place}: {path} reads the values of tensors") from error
                raise ConfigError(failure(place, path, "cannot be updated", error)) from error

    def _run_step(
        self, step: TrainStep, states: MicroBatches, iteration: int, moved: dict[str, list[Tensor | None]]
    ) -> None:
        """Run a step, and note which networks it moved."""
        gradients = self.observer.gradients
        self._step = step
        if parameters := step.trainable(iteration):
            self.trainable.setdefault(step.graph.name, set()).update(parameters)
        gradients.begin_step(step, iteration)
        self._live.start()
        known_faults = len(self.faults)
        self.observer.scope = step.graph.name if step.data else ""
        try:
            for own in islice(step.batches(states), min(2, step.repeat)):  # The second one meets what the first left.
                for name, skipped in step.run(own, self.run.context).items():
                    moved.setdefault(name, []).append(skipped)
        except (ConfigError, Untraceable):
            raise
        except Exception as error:  # The code of a network or a callback can raise anything.
            if gradients.isolated_loss:
                return  # A hook may need the gradients of the losses that are detached.
            if len(self.faults) > known_faults:
                raise ConfigError([]) from None  # The faults of its injectors and losses explain it.
            self._judge_error(error, step, iteration)
        finally:
            self._step = None
            self.observer.scope = ""
            gradients.hidden.record_backward()
        self.memory.of_step(step, self._live)

    def _judge_error(self, error: Exception, step: TrainStep, iteration: int) -> None:
        """Handle an error that a step raised outside of its injectors and losses.

        Raises:
            ConfigError: The error is a fault of the file or of a component.
            Untraceable: Gradients need values that are missing.
        """
        name = step.graph.name
        path, place = f"steps.{name}", self._config.steps[name].node.place
        if self.observer.real or not is_about_missing_values(error):
            raise ConfigError(failure(place, path, "fails outside of its injectors and losses", error)) from error
        if not self.reached[name].issuperset(step.trainable(iteration)):  # Some gradients are still missing.
            raise Untraceable(f"{place}: {path} reads the values of tensors in a hook or backward") from error
        note = f"{place}: {path}: its optimizer or a hook reads the values of tensors; that part was not traced"
        if note not in self.notes:
            self.notes.append(note)
        for parameter in step.update.parameters if step.update else ():
            parameter.grad = None

    @contextmanager
    def _watched_gradients(self) -> Iterator[None]:
        """Record which parameters get a gradient.

        The hooks are removed afterwards: they would keep the run alive, in a way that the garbage collector misses.
        """

        def record(parameter: nn.Parameter) -> None:
            if self._step is not None:
                self.reached[self._step.graph.name].add(parameter)
                self.observer.gradients.record_gradient(parameter)

        parameters = {p: None for step in self.run.steps if step.update for p in step.update.parameters}
        handles: list[Any] = [p.register_post_accumulate_grad_hook(record) for p in parameters]  # type: ignore[no-untyped-call]  # torch
        try:
            yield
        finally:
            for handle in handles:
                handle.remove()


def _with_hint(fault: Fault, hint: str) -> Fault:
    return replace(fault, hint="\n".join(line for line in (fault.hint, hint) if line))
