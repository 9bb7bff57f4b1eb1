"""One micro-batch of each regime through every step that trains then."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

from torch import Tensor, nn

from artschool.config.structure import Config
from artschool.data.examples import resized
from artschool.engine.freeze import all_frozen
from artschool.engine.hooks import hooks
from artschool.engine.micro_batches import MicroBatches
from artschool.engine.optimizers import skips_on_device
from artschool.engine.run import Run
from artschool.engine.train_step import TrainStep
from artschool.errors import ConfigError, Fault, FaultKind
from artschool.trace.fake import needs_values
from artschool.trace.memory import GRADIENTS, LiveBytes, Memory
from artschool.trace.observe import Observer, Untraceable, components_of_file, describe_error, observe
from artschool.trace.regimes import covering, regimes

CHANGED = "modified by an inplace operation"
"""What autograd says of a value that a backward needs as it was."""
DRAWS = 4
"""How often parameters without a gradient get another chance, since chance may decide which part of a network runs."""


class TrainingTrace:
    """What is seen while the steps of a run train without anybody's looking at numbers.

    Args:
        batch: Some samples; a part of a batch repeats them.
        world_size: How many processes will share a batch.
        real: Whether tensors have values.

    Attributes:
        iterations: The first of each regime. Those are run in which some step runs as in no other.
        trainable: The parameters that could move at some iteration, by step.
        reached: Those that got a gradient, by step.
    """

    def __init__(self, config: Config, run: Run, batch: Mapping[str, Any], world_size: int, *, real: bool) -> None:
        self.run = run
        self._config = config
        self._samples = batch
        self._world_size = world_size
        averages = {f"{name}.ema": ema.module for name, ema in run.emas.items()}
        modules = {**run.networks, **averages, **run.modules}
        self.observer = Observer(components_of_file(config), modules, real=real)
        self.memory = Memory()
        self.notes: list[str] = []
        self.trainable: dict[str, set[nn.Parameter]] = {}
        self.reached: dict[str, set[nn.Parameter]] = {step.graph.name: set() for step in run.steps}
        starts = {start for step in run.steps for start in step.starts}
        # The file alone does not tell how many iterations so many epochs are.
        self.iterations = sorted(first for first in {*regimes(config), *starts} if first < run.iterations)
        # A network that is told the iteration may be another one at each.
        self._run = self.iterations if run.update_hooks or starts else covering(config, self.iterations)
        self._live = LiveBytes()
        self._faults: list[Fault] = []
        self._step: TrainStep | None = None

    @property
    def faults(self) -> list[Fault]:
        """All that was found."""
        return [*self._faults, *self.observer.gradients.faults]

    def run_regimes(self) -> None:
        """Run them all.

        Raises:
            Untraceable: Something needs values that are not there.
        """
        for step in self.run.steps:
            observe(step.graph, self.observer)
            if step.update is not None and not skips_on_device(step.update.optimizer):
                step.update.skip_non_finite = (
                    False  # It would ask whether gradients are finite, which only values can tell.
                )
        with self._watched_gradients(), all_frozen(self.run.networks.values()), self._live:
            self.memory.of_run(self.run, self._live)
            for iteration in self._run:
                for size in self._sizes(iteration):
                    self._iterate(iteration, size)
            self.memory.of_run(self.run, self._live)
            if not self.faults:
                self._settle_doubts()
            for iteration in self._run * DRAWS:
                if self.faults or not any(self._partly_unreached(step) for step in self.run.steps):
                    break
                self._iterate(iteration, self._sizes(iteration)[0])

    def _settle_doubts(self) -> None:
        """Let losses train alone of which only a backward can tell what they reach."""
        gradients = self.observer.gradients
        for (path, _), doubt in gradients.doubts.items():
            if doubt.fault is not None or self._is_hidden(gradients.reached[path].step):
                gradients.alone = path
                self._iterate(doubt.iteration, self._sizes(doubt.iteration)[0])
        gradients.alone = ""
        gradients.faults += [doubt.fault for doubt in gradients.doubts.values() if doubt.fault is not None]

    def _is_hidden(self, step: str) -> bool:
        """Whether parameters of a step got a gradient that no loss is known to reach."""
        reached = [reach.networks.items() for reach in self.observer.gradients.reached.values() if reach.step == step]
        known = {(network, name) for networks in reached for network, names in networks for name in names}
        return len(known) < len(self.reached[step])

    def unreached(self, step: TrainStep) -> list[nn.Parameter]:
        """The parameters of a step that had a chance to get a gradient and got none."""
        if step.update is None or step.graph.name not in self.observer.gradients.asked:
            return []
        return [parameter for parameter in step.update.parameters if parameter not in self.reached[step.graph.name]]

    def _partly_unreached(self, step: TrainStep) -> bool:
        """Whether chance may be the reason for parameters without a gradient: their network has others with one."""
        missed, reached = set(self.unreached(step)), self.reached[step.graph.name]
        return any(
            not missed.isdisjoint(network.parameters()) and not reached.isdisjoint(network.parameters())
            for network in step.networks.values()
        )

    def _sizes(self, iteration: int) -> list[int]:
        """Samples in the largest part of a batch, and in the smallest where that differs."""
        parts, batches = self._config.sections.train.num_micro_batches(iteration), self.run.data.batches
        start = self._config.sections.train.start_iteration
        ends = start // batches.per_epoch < self.run.iterations // batches.per_epoch  # Whether an epoch does.
        last = max(1, batches.size(batches.per_epoch - 1 if ends else 0) // self._world_size)
        return list(dict.fromkeys([-(-self._whole // min(parts, self._whole)), max(1, last // min(parts, last))]))

    @property
    def _whole(self) -> int:
        """Samples of a whole batch in the process that has most of them."""
        return -(-self.run.data.batches.size(0) // self._world_size)

    def _iterate(self, iteration: int, size: int) -> None:
        """One iteration of one micro-batch. The first fault ends it."""
        run, context = self.run, self.run.context
        run.iteration = context.iteration = iteration
        context.training = True
        try:
            self._update_for_step(iteration)
            # Where there are several parts, the second differs: gradients are there already, and `once` has been.
            count = min(2, self._config.sections.train.num_micro_batches(iteration))
            states = MicroBatches(resized(self._samples, count * size), count, count * size, run.device)
            self.observer.begin(states.first.values, self._config.data["train"])
            for step in run.steps:
                if step.graph.when.active(iteration):
                    self._run_step(step, states, iteration)
        except ConfigError as error:
            told = {(fault.place, fault.path) for fault in self._faults}
            new = [fault for fault in error.faults if (fault.place, fault.path) not in told]
            smaller, hint = size < self._sizes(iteration)[0], self._why_so_few(iteration, size)
            self._faults += [_with_hint(f, hint) if smaller or f.kind is FaultKind.BATCH_TOO_SMALL else f for f in new]
        finally:
            context.training = False
            run.meters.clear()

    def _update_for_step(self, iteration: int) -> None:
        for name, hook in hooks(self.run.networks, "update_for_step"):
            place, path = self._config.networks[name].node.place, f"networks.{name}"
            try:
                hook(iteration, self.run.folder)
            except Exception as error:
                if not self.observer.real and needs_values(error):
                    raise Untraceable(f"{place}: {path} looks at the values of tensors in update_for_step") from error
                message = f"its update_for_step fails: {describe_error(error)}"
                raise ConfigError(Fault(place, path, message)) from error

    def _why_so_few(self, iteration: int, size: int) -> str:
        parts = self._config.sections.train.num_micro_batches(iteration)
        samples = f"{size} sample{'' if size == 1 else 's'}"
        if size < self._whole // parts:
            return f"This is the last batch of an epoch, with {samples}; `drop_last` leaves it out."
        return f"This is a part of a batch, with {samples}: `train` asks for {parts} parts." if parts > 1 else ""

    def _run_step(self, step: TrainStep, states: MicroBatches, iteration: int) -> None:
        name = step.graph.name
        self._step = step
        if parameters := step.trainable(iteration):
            self.trainable.setdefault(name, set()).update(parameters)
        self.observer.gradients.enter(step, iteration)
        self.observer.changed = []
        self._live.start()
        told = len(self.observer.gradients.faults)
        path, place = f"steps.{name}", self._config.steps[name].node.place
        try:
            step.run(states, self.run.context)
        except (ConfigError, Untraceable):
            raise
        except Exception as error:
            if self.observer.gradients.alone:
                return  # A hook may miss the gradients of the losses that are left out.
            if len(self.observer.gradients.faults) > told:
                raise ConfigError([]) from None  # The losses have told it, each with its reason.
            if self.observer.real or not needs_values(error):
                message = f"fails outside of its injectors and losses: {describe_error(error)}"
                hint = "\n".join(self.observer.changed) if CHANGED in str(error) else ""
                raise ConfigError(Fault(place, path, message, hint)) from error
            if not self.reached[name].issuperset(step.trainable(iteration)):  # Not all gradients were there yet.
                raise Untraceable(f"{place}: {path} looks at the values of tensors in a hook or backward") from error
            note = f"{place}: {path}: its optimizer or a hook looks at the values of tensors; that was not traced"
            self.notes += [note] if note not in self.notes else []
            for parameter in step.update.parameters if step.update else ():
                parameter.grad = None
        finally:
            self._step = None
        self.memory.of_step(step, self._live)

    @contextmanager
    def _watched_gradients(self) -> Iterator[None]:
        """Note which parameters get one. Hooks that stayed would keep the run alive, unseen by the collector."""

        def got(parameter: nn.Parameter) -> None:
            if self._step is not None:
                self.reached[self._step.graph.name].add(parameter)
                self.observer.gradients.got(parameter)
            if isinstance(parameter.grad, Tensor):
                self._live.mark([parameter.grad], GRADIENTS)

        parameters = {p: None for step in self.run.steps if step.update for p in step.update.parameters}
        handles: list[Any] = [p.register_post_accumulate_grad_hook(got) for p in parameters]  # type: ignore[no-untyped-call]  # torch
        try:
            yield
        finally:
            for handle in handles:
                handle.remove()


def _with_hint(fault: Fault, hint: str) -> Fault:
    return replace(fault, hint="\n".join(line for line in (fault.hint, hint) if line))
