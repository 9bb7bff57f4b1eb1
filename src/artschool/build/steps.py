"""The steps: the calls of each, the networks that it trains, and the update of those."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from torch import nn

from artschool.build.bind import Binder
from artschool.build.decisions import key_gate_of
from artschool.config.flow import kept_after
from artschool.config.mean_over import early_injectors, first_late, is_counted
from artschool.config.streams import other_streams
from artschool.config.structure import Config, StepConfig
from artschool.engine.decisions import NumberGate, gated
from artschool.engine.train_step import TrainStep
from artschool.engine.update import Update
from artschool.steps.step import Step


def build_steps(
    config: Config,
    networks: Mapping[str, nn.Module],
    binder: Binder,
    updates: Mapping[str, Update],
    gates: Mapping[str, NumberGate],
) -> list[TrainStep]:
    """The steps, in file order.

    Args:
        updates: The update of each step that has an optimizer.
        gates: The gates by a number of the log, by path.
    """
    kept = kept_after(config)
    return [
        _step(step, config, networks, binder, kept[step.name], updates.get(step.name), gates)
        for step in config.steps.values()
    ]


def _step(
    step: StepConfig,
    config: Config,
    networks: Mapping[str, nn.Module],
    binder: Binder,
    kept: set[str],
    update: Update | None,
    gates: Mapping[str, NumberGate],
) -> TrainStep:
    graph = graph_of(step, config, binder, kept, training=True)
    for loss in graph.losses:
        loss.when = gated(loss.when, gates.get(f"{loss.path}.while"))
    trained = {name: networks[name] for name in step.section.trained}
    own_gate = gates.get(f"steps.{step.name}.while")
    whens = {name: gated(step.moves_when & config.networks[name].when, own_gate) for name in trained}
    callbacks = [binder.callback(component, trained) for component in step.callbacks.values()]
    key_gate, section = key_gate_of(step, binder.device), step.section
    return TrainStep(graph, trained, whens, update, callbacks, section.streams, section.repeat, key_gate)


def graph_of(step: StepConfig, config: Config, binder: Binder, kept: Collection[str], *, training: bool) -> Step:
    """The calls of a step, in file order.

    Args:
        kept: The keys that are read after the step.
        training: Whether the step trains. Otherwise, an evaluation runs it.
    """
    counted = {loss.path: early_injectors(step, loss) for loss in step.losses.values() if is_counted(loss)}
    late = {loss.path for loss in step.losses.values() if is_counted(loss) and first_late(step, loss)}
    return Step(
        step.name,
        step.section.when,
        [binder.injector(component) for component in step.injectors_when(training=training)],
        [binder.loss(component, step.name, name) for name, component in step.losses.items()],
        frozenset(kept),
        step.section.requires,
        frozenset(injector.path for path in counted.keys() - late for injector in counted[path]),
        frozenset(late),
        [binder.injector(component) for component in step.late_injectors_when(training=training)],
        {f"{step.name}/{loss}": stream for loss, stream in other_streams(config, step).items()} if training else {},
    )
