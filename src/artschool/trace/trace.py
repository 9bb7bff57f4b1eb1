"""Run every step of a checked file on tensors without values: shapes, gradients and memory, before anything starts."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import nullcontext, suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, cast

import torch
from torch import Tensor

from artschool import ranks
from artschool.build import build, build_data
from artschool.config.check import in_reading_order
from artschool.config.regimes import regimes
from artschool.config.structure import Component, Config
from artschool.data.examples import resized
from artschool.data.loader import Loader
from artschool.data.seeds import derive, forked
from artschool.engine.evaluate import Evaluation, in_eval_mode
from artschool.engine.freeze import all_frozen
from artschool.engine.run import Run
from artschool.engine.train_iteration import MicroBatches, TrainStep
from artschool.entries import DatasetEntry
from artschool.errors import ArtschoolError, ConfigError, DataError, Fault
from artschool.graph.state import State
from artschool.trace.fake import fake_tensors, needs_values
from artschool.trace.memory import LiveBytes
from artschool.trace.observe import Observed, Observer, Untraceable
from artschool.trace.report import Memory, Trace

MOST_SAMPLES = 32
"""So many samples are loaded to see their shapes; a larger batch repeats them."""
DRAWS = 8
"""How often parameters without a gradient get another chance, since chance may decide which part of a network runs."""


def trace(config: Config) -> Trace:
    """Run each regime of a checked file once, without values, or for real where something needs them.

    Nothing is written, and random numbers are afterwards as before.

    Raises:
        ConfigError: With every fault that was found.
        DataError: A batch cannot be loaded. With `data.x.example` none is.
    """
    world_size = ranks.world_size()
    with forked(derive(config.sections.seed, "trace"), torch.device("cpu")), ranks.alone():
        try:
            loaders = build_data(config, examples=True)
            batches = {
                name: loader.first(min(MOST_SAMPLES, _batch_size(config, name))) for name, loader in loaders.items()
            }
        except DataError as error:
            error.add_note("With `example:`, which says what a sample of a data set holds, a trace needs no data.")
            raise

        def traced(*, real: bool) -> Trace:
            with TemporaryDirectory() as folder, nullcontext() if real else fake_tensors():
                run = _built(config, Path(folder), loaders, real=real)
                return _Tracer(config, run, batches, world_size, real=real).trace()

        try:
            return traced(real=False)
        except Untraceable as reason:
            result = traced(real=True)
            result.notes.insert(0, f"{reason}, so one real micro-batch ran instead")
            return result


def _built(config: Config, folder: Path, loaders: Mapping[str, Loader], *, real: bool) -> Run:
    try:
        return build(config, folder, device=None if real else torch.device("cpu"), loaders=loaders)
    except Exception as error:
        if real or not needs_values(error):
            raise
        raise Untraceable("a network or component looks at the values of tensors when it is built") from error


def _batch_size(config: Config, name: str) -> int:
    entry = config.data[name].entry
    assert isinstance(entry, DatasetEntry)
    return entry.batch_size


class _Tracer:
    """One trace of one run."""

    def __init__(
        self, config: Config, run: Run, batches: Mapping[str, Mapping[str, Any]], world_size: int, *, real: bool
    ) -> None:
        self._config = config
        self._run = run
        self._batches = batches
        self._world_size = world_size
        self._real = real
        averages = {f"{name}.ema": ema.module for name, ema in run.emas.items()}
        self._observer = Observer(dict(_components(config)), {**run.networks, **averages, **run.modules})
        self._live = LiveBytes()
        self._memory = Memory()
        self._faults: list[Fault] = []
        self._notes: list[str] = []
        self._trained: dict[str, set[int]] = {}
        self._got_gradient: dict[str, set[int]] = {}
        self._step: TrainStep | None = None
        self._watch_gradients()

    def trace(self) -> Trace:
        """Run everything.

        Raises:
            ConfigError: With every fault that was found.
            Untraceable: Something needs values that are not there.
        """
        run = self._run
        starts = {start for step in run.steps for start in step.starts if start < run.iterations}
        iterations = sorted({*regimes(self._config), *starts})
        with all_frozen(run.networks.values()), self._live:
            self._mark_lasting()
            self._observe(run)
            for iteration in iterations:
                for size in self._sizes(iteration):
                    self._faults += self._iteration(iteration, size)
            self._mark_lasting()
            for iteration in iterations * DRAWS if self._unreached() and not self._all_faults() else ():
                self._iteration(iteration, self._sizes(iteration)[0])
        if not self._all_faults():
            self._faults += self._unreached()
        evaluations = {} if self._real else {e.name: self._evaluation(e) for e in run.evaluations}
        if faults := self._all_faults():
            raise ConfigError(in_reading_order(faults))
        return Trace(
            iterations,
            self._observer.keys,
            evaluations,
            self._observer.reached,
            run.networks,
            self._memory,
            self._checkpoint_bytes(),
            _checkpoints_kept(self._config, run.iterations),
            self._real,
            self._notes,
        )

    def _all_faults(self) -> list[Fault]:
        """Each once, though several regimes may show it."""
        return list({(f.place, f.path): f for f in reversed([*self._faults, *self._observer.faults])}.values())

    def _sizes(self, iteration: int) -> list[int]:
        """Samples in the largest part of a batch, and in the smallest where that differs."""
        section, batches = self._config.sections.train, self._run.data.batches
        tail = batches.size(batches.per_epoch - 1)
        parts = section.parts(iteration)
        largest = -(-batches.batch_size // self._world_size)
        smallest = min(batches.batch_size, tail) // self._world_size
        sizes = [-(-largest // min(parts, largest)), max(1, smallest // min(parts, smallest))]
        return list(dict.fromkeys(sizes))

    def _iteration(self, iteration: int, size: int) -> list[Fault]:
        """One iteration of one micro-batch. The first fault ends it."""
        run, clock = self._run, self._run.clock
        run.iteration = clock.iteration = iteration
        clock.training = True
        try:
            for hook in run.update_hooks:
                hook(iteration, run.folder)
            batch = self._batch("train", size, None)
            states = MicroBatches(batch, 1, size, run.device)
            for step in run.steps:
                if step.graph.when.active(iteration):
                    self._run_step(step, states, iteration)
            for name, ema in run.emas.items():
                if any(name in step.networks and step.trainable(iteration) for step in run.steps):
                    ema.update([None])
        except ConfigError as error:
            return self._told(error.faults, size)
        finally:
            clock.training = False
            run.meters.drain() if self._real else run.meters._added.clear()
        return []

    def _told(self, faults: Sequence[Fault], size: int) -> list[Fault]:
        return list(faults)

    def _run_step(self, step: TrainStep, states: MicroBatches, iteration: int) -> None:
        name = step.graph.name
        self._step = step
        self._observer.enter(step, iteration)
        self._live.start()
        path, place = f"steps.{name}", self._config.steps[name].node.place
        try:
            step.run(states, self._run.clock)
        except (ConfigError, Untraceable):
            raise
        except Exception as error:
            if not needs_values(error):
                if self._observer.faults and isinstance(error, ArtschoolError):
                    raise ConfigError([]) from None  # Told already, by loss.
                message = f"fails after its losses are computed: {type(error).__name__}: {error}"
                raise ConfigError(Fault(place, path, message)) from error
            if not self._got_gradient.get(name):
                raise Untraceable(f"{place}: {path} looks at the values of tensors in backward") from error
            self._note(
                f"{path}: its optimizer or a hook looks at the values of tensors, so what follows was not traced"
            )
            for parameter in step.update.parameters if step.update else ():
                parameter.grad = None
        finally:
            self._step = None
        self._remember(step)

    def _note(self, note: str) -> None:
        if note not in self._notes:
            self._notes.append(note)

    def _remember(self, step: TrainStep) -> None:
        """Note the memory of a step that has run."""
        if step.update is not None:
            state = [v for own in step.update.optimizer.state.values() for v in own.values() if isinstance(v, Tensor)]
            self._live.mark(state, "optimizer state")
        peak = self._live.peak
        at_peak = type(peak)({kind: peak[kind] for kind in ("gradients", "activations")})
        known = self._memory.steps.get(step.graph.name)
        if known is None or at_peak.total() > known.total():
            self._memory.steps[step.graph.name] = at_peak

    def _mark_lasting(self) -> None:
        run = self._run
        for network in (*run.networks.values(), *run.modules.values()):
            self._live.mark(network.parameters(), "parameters")
            self._live.mark(network.buffers(), "buffers")
        for ema in run.emas.values():
            self._live.mark([*ema.module.parameters(), *ema.module.buffers()], "averages")
        kinds = ("parameters", "buffers", "averages", "optimizer state")
        self._memory.lasting.clear()
        self._memory.lasting.update({kind: self._live.live[kind] for kind in kinds})

    def _checkpoint_bytes(self) -> int:
        run = self._run
        modules = [*run.networks.values(), *(ema.module for ema in run.emas.values()), *run.modules.values()]
        tensors = [value for module in modules for value in module.state_dict().values() if isinstance(value, Tensor)]
        return sum(tensor.nbytes for tensor in tensors) + self._memory.lasting["optimizer state"]

    def _watch_gradients(self) -> None:
        def got(parameter: Tensor) -> None:
            if self._step is not None:
                self._got_gradient.setdefault(self._step.graph.name, set()).add(id(parameter))
            if parameter.grad is not None:
                self._live.mark([parameter.grad], "gradients")

        for parameter in {p: None for step in self._run.steps if step.update for p in step.update.parameters}:
            parameter.register_post_accumulate_grad_hook(got)  # type: ignore[no-untyped-call]  # torch

    def _observe(self, run: Run) -> None:
        """Put an observed call in place of each."""
        for step in run.steps:
            observed_step(step.graph, self._observer)

    def _unreached(self) -> list[Fault]:
        return [fault for step in self._run.steps for fault in self._unreached_by(step)]

    def _unreached_by(self, step: TrainStep) -> Iterator[Fault]:
        """Faults of a trained network, or part of one, that no loss reached at any iteration."""
        name = step.graph.name
        if step.update is None or name not in self._memory.steps:
            return
        got, owned = self._got_gradient.get(name, set()), {id(parameter) for parameter in step.update.parameters}
        trains = self._config.tree.at(("steps", name, "trains"))
        places = {str(node.value): node.place for node in (trains, *trains.children())}
        for network_name, network in step.networks.items():
            own = {path: p for path, p in network.named_parameters() if id(p) in owned}
            missed = [path for path, parameter in own.items() if id(parameter) not in got]
            if not missed:
                continue
            if len(missed) == len(own):
                message = f"trains {network_name!r}, which no loss of the step reaches"
                hint = "Give the step a loss that depends on it, or take it off the list."
            else:
                message = (
                    f"trains {network_name!r}, but no loss reaches {_listing(missed)} of its {len(own)} parameters"
                )
                hint = f"Freeze what is not used: `frozen: [{missed[0]}]` at networks.{network_name}."
            yield Fault(places.get(network_name, trains.place), f"steps.{name}.trains", message, hint)

    def _evaluation(self, evaluation: Evaluation) -> Mapping[str, Any]:
        """The keys of one batch of an evaluation."""
        config, run = self._config.evaluations[evaluation.name], self._run
        observer = Observer(self._observer.components, self._observer.modules)
        observer.enter(None, 0)
        for step in evaluation.steps:
            observed_step(step, observer)
        evaluation.injectors = [cast(Any, Observed(call, observer)) for call in evaluation.injectors]
        evaluation.metrics = {
            name: (cast(Any, _Metric(call, observer)), metric) for name, (call, metric) in evaluation.metrics.items()
        }
        data = config.section.data
        size = min(_batch_size(self._config, data), len(evaluation.loader.dataset))
        state = State(self._batch(data, size, observer), f"data.{data}")
        try:
            with in_eval_mode(evaluation.networks), torch.no_grad():
                evaluation.forward(state, max(run.iterations - 1, 0), lambda name, value: None)
        except ConfigError as error:
            self._faults += error.faults
        except Untraceable as reason:
            self._note(f"{reason}, so what follows in evaluate.{evaluation.name} was not traced")
        return observer.keys

    def _batch(self, data: str, size: int, observer: Observer | None) -> dict[str, Any]:
        batch = resized(self._batches[data], size)
        for key, value in batch.items():
            (observer or self._observer).write(key, value, f"data.{data}", self._config.data[data].node.place)
        return batch


class _Metric(Observed):
    """A metric reads values in the end; what it does before that is traced."""

    def __call__(self, state: State) -> Any:
        """Feed it."""
        with suppress(Untraceable):
            super().__call__(state)


def observed_step(graph: Any, observer: Observer) -> None:
    """Put an observed call in place of each of a step."""
    graph.injectors = [Observed(call, observer) for call in graph.injectors]
    graph.losses = [Observed(call, observer) for call in graph.losses]


def _components(config: Config) -> Iterator[tuple[str, Component]]:
    for step in config.steps.values():
        for component in (*step.injectors.values(), *step.losses.values()):
            yield component.path, component
    for evaluation in config.evaluations.values():
        for component in (*evaluation.injectors.values(), *evaluation.metrics.values()):
            yield component.path, component


def _checkpoints_kept(config: Config, iterations: int) -> int:
    """How many checkpoints are on disk at once; a new one is complete before the oldest goes."""
    section = config.sections.checkpoint
    saves = -(-iterations // section.every) if section.every else 1
    return min(saves, section.keep_last + (section.keep_best is not None) + 1)


def _listing(names: Sequence[str]) -> str:
    return ", ".join(names[:4]) + (f" and {len(names) - 4} more" if len(names) > 4 else "")
