"""Faults that a whole traced training shows: what no step trains, registers or logs, though it should."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from torch import nn

from artschool.config.logged_numbers import measured, of_updates
from artschool.config.source import Node
from artschool.config.structure import Component, Config, StepConfig
from artschool.engine.train_step import TrainStep
from artschool.faults import Fault
from artschool.registry.network_entry import NetworkEntry
from artschool.trace.training import TrainingTrace

MAX_NAMES = 4
"""Maximum number of parameters that a message lists."""


def untrained_faults(config: Config, training: TrainingTrace) -> Iterator[Fault]:
    """Faults of networks that no step trains, and of parameters that no loss of their step reaches."""
    for step in training.run.steps:
        yield from _unreached_parameters(config, step, training.unreached(step))
        yield from _without_losses(config, step, training)
    for name, network in training.run.networks.items():
        entry = config.networks[name].entry
        assert isinstance(entry, NetworkEntry)
        is_given = entry.weights is not None or entry.frozen is True
        if name in training.observer.callers and not is_given and any(True for _ in network.parameters()):
            yield from _never_trained(config, name, training)


def hidden_faults(config: Config, training: TrainingTrace) -> Iterator[Fault]:
    """Faults of parameters that losses reach and that no network or component registers."""
    hidden, components = training.observer.gradients.hidden, training.observer.components
    for owner, found in hidden.found.items():
        path = f"networks.{owner}" if owner in config.networks else owner
        names = _listing(sorted(found))
        message = f"holds parameters that it does not register, so nothing trains or saves them: {names}"
        hint = (
            "Fix: keep layers in nn.ModuleList or nn.ModuleDict, and tensors in nn.Parameter. "
            "To leave them as they are, call their requires_grad_(False)."
        )
        yield Fault(config.tree.at(path.split(".")).place, path, message, hint)
    for path in dict.fromkeys(hidden.unknown.values()):
        shapes = [str(tuple(parameter.shape)) for parameter, loss in hidden.unknown.items() if loss == path]
        names = _listing(shapes)
        message = f"reaches parameters that no network or component holds, so nothing trains or saves them: {names}"
        hint = "Fix: make them part of a network that a step trains, or call their requires_grad_(False)."
        yield Fault(components[path].node.place, path, message, hint)


def unlogged_faults(config: Config, training: TrainingTrace) -> Iterator[Fault]:
    """Faults of numbers that decide something, and that the components of their step never log."""
    elsewhere = {*measured(config), *of_updates(config)}
    for path, decision in training.run.decisions.items():
        metric = decision.follower.metric
        owner = metric.partition("/")[0]
        has_run = owner in training.observer.gradients.steps_with_losses
        if has_run and metric not in training.logged | elsewhere:
            own = sorted(name for name in training.logged if name.startswith(f"{owner}/"))
            node, message = config.tree.at(path.split(".")), f"follows {metric!r}, which step {owner!r} never logs"
            yield Fault.unknown_name(node.place, path, message, metric, own, listed_as="Logged numbers")


def _never_trained(config: Config, name: str, training: TrainingTrace) -> Iterator[Fault]:
    node = config.networks[name].node
    place, path = node.key_place or node.place, f"networks.{name}"
    trainers = [step.name for step in config.steps.values() if name in step.section.trained]
    caller = training.observer.callers[name]
    if not trainers:
        message = f"is called by {caller}, but no step trains it, so it keeps its random initial weights"
        hint = "Fix: add it to a step's `trains`, or give it `weights`. To keep it random, write `frozen: true`."
        yield Fault(place, path, message, hint)
    elif training.trainable.keys().isdisjoint(trainers):
        steps = " and ".join(f"steps.{trainer}" for trainer in trainers)
        message = (
            f"is called by {caller}, but {steps}, which trains it, "
            f"never does so in {training.run.iterations} iterations"
        )
        yield Fault(place, path, message)


def _without_losses(config: Config, step: TrainStep, training: TrainingTrace) -> Iterator[Fault]:
    name = step.graph.name
    has_losses = name in training.observer.gradients.steps_with_losses
    if name in training.trainable and not has_losses and not step.graph.requires:
        trained = ", ".join(repr(network) for network in step.networks)
        message = f"trains {trained}, but none of its losses runs in its {training.run.iterations} iterations"
        yield Fault(config.tree.at(("steps", name, "trains")).place, f"steps.{name}.trains", message)


def _unreached_parameters(config: Config, step: TrainStep, missed: Sequence[nn.Parameter]) -> Iterator[Fault]:
    name, ids = step.graph.name, {id(parameter) for parameter in missed}
    trains = config.tree.at(("steps", name, "trains"))
    owned = {id(parameter) for parameter in step.update.parameters} if step.update else set()
    for network_name, network in step.networks.items():
        own = {path: parameter for path, parameter in network.named_parameters() if id(parameter) in owned}
        without = [path for path, parameter in own.items() if id(parameter) in ids]
        if not without:
            continue
        message = f"trains {network_name!r}, which no loss of the step reaches"
        hint = _where_no_gradient_returns(config.steps[name], network_name)
        if len(without) < len(own):
            message = f"trains {network_name!r}, but no loss reaches {_listing(without)} of its {len(own)} parameters"
            hint = f"Fix: freeze the unused parameters: write `frozen: [{without[0]}, ...]` at networks.{network_name}."
        yield Fault(_node_of_name(trains, network_name).place, f"steps.{name}.trains", message, hint)


def _where_no_gradient_returns(step: StepConfig, network: str) -> str:
    """What to do about a network that no loss reaches, with the first loss that reads what comes from it, if any."""
    from_network: set[str] = set()
    for injector in step.injectors.values():
        if any(use.name == network for use in injector.networks) or not from_network.isdisjoint(_read(injector)):
            from_network.update(use.name for use in injector.writes)
    for loss in step.losses.values():
        if key := next((key for key in _read(loss) if key in from_network), None):
            return (
                f"{loss.path} ({loss.node.place}) reads {key!r}, which comes from it, but no gradient returns.\n"
                f"Fix: use a loss and calls that detach nothing of it, or remove {network} from the list."
            )
    return "Fix: give the step a loss that depends on it, or remove it from the list."


def _read(component: Component) -> list[str]:
    return [use.name for use in component.inputs]


def _node_of_name(node: Node, name: str) -> Node:
    """The node of a name in a list, or the node itself if it is the name alone."""
    return next((child for child in node.children() if child.value == name), node)


def _listing(names: Sequence[str]) -> str:
    more = f" and {len(names) - MAX_NAMES} more" if len(names) > MAX_NAMES else ""
    return ", ".join(names[:MAX_NAMES]) + more
