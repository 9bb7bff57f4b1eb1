"""Faults of networks that nothing trains though something should, and of keys that no picture can show."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from torch import nn

from artschool.config.source import Node
from artschool.config.structure import Config
from artschool.engine.train_step import TrainStep
from artschool.errors import Fault
from artschool.registry.entries import NetworkEntry
from artschool.trace.keys import TracedKey
from artschool.trace.training import TrainingTrace

MOST_NAMES = 4


def untrained(config: Config, training: TrainingTrace) -> Iterator[Fault]:
    """Faults of networks that no step trains, and of those, or their parameters, that no loss of their step reaches."""
    for step in training.run.steps:
        yield from _unreached(config, step, training.unreached(step))
        yield from _without_losses(config, step, training)
    for name, network in training.run.networks.items():
        entry = config.networks[name].entry
        assert isinstance(entry, NetworkEntry)
        given = entry.weights is not None or entry.frozen is True
        if name in training.observer.callers and not given and any(True for _ in network.parameters()):
            yield from _never_trained(config, name, training)


def _never_trained(config: Config, name: str, training: TrainingTrace) -> Iterator[Fault]:
    node = config.networks[name].node
    place, path = node.key_place or node.place, f"networks.{name}"
    trainers = [step.name for step in config.steps.values() if name in step.section.trained]
    caller = training.observer.callers[name]
    if not trainers:
        hint = "Give it to a step's `trains`, or `weights`; if that is meant, write `frozen: true`."
        message = f"no step trains it, so it stays as random as it starts, and {caller} calls it"
        yield Fault(place, path, message, hint)
    elif training.trainable.keys().isdisjoint(trainers):
        who = " and ".join(f"steps.{trainer}" for trainer in trainers)
        message = (
            f"{caller} calls it, but {who}, which trains it, never does so in {training.run.iterations} iterations"
        )
        yield Fault(place, path, message)


def _without_losses(config: Config, step: TrainStep, training: TrainingTrace) -> Iterator[Fault]:
    name = step.graph.name
    if name in training.trainable and name not in training.observer.gradients.asked and not step.graph.requires:
        trained = ", ".join(repr(network) for network in step.networks)
        message = f"trains {trained}, but none of its losses runs in its {training.run.iterations} iterations"
        yield Fault(config.tree.at(("steps", name, "trains")).place, f"steps.{name}.trains", message)


def _unreached(config: Config, step: TrainStep, missed: Sequence[nn.Parameter]) -> Iterator[Fault]:
    name, ids = step.graph.name, {id(parameter) for parameter in missed}
    trains = config.tree.at(("steps", name, "trains"))
    owned = {id(parameter) for parameter in step.update.parameters} if step.update else set()
    for network_name, network in step.networks.items():
        own = {path: parameter for path, parameter in network.named_parameters() if id(parameter) in owned}
        without = [path for path, parameter in own.items() if id(parameter) in ids]
        if not without:
            continue
        message = f"trains {network_name!r}, which no loss of the step reaches"
        hint = "Give the step a loss that depends on it, or take it off the list."
        if len(without) < len(own):
            message = f"trains {network_name!r}, but no loss reaches {_listing(without)} of its {len(own)} parameters"
            hint = f"Freeze what nothing uses: write `frozen: [{without[0]}, ...]` at networks.{network_name}."
        yield Fault(_place(trains, network_name).place, f"steps.{name}.trains", message, hint)


def undrawable(config: Config, keys: Mapping[str, TracedKey]) -> Iterator[Fault]:
    """Faults of `log.pictures.keys` that hold no pictures."""
    pictures = config.sections.log.pictures
    node = config.tree.at(("log", "pictures", "keys"))
    for key in pictures.keys if pictures else ():
        if key in keys and not keys[key].drawable:
            message = f"shows {key!r}, which is {keys[key].kind} and no picture"
            hint = "Images are (B, 1 or 3, H, W), maps (B, H, W), sequences (B, T, 1 or 3, H, W)."
            yield Fault(_place(node, key).place, "log.pictures.keys", message, hint)


def _place(node: Node, name: str) -> Node:
    """The node of a name: the list's entry, or the name alone."""
    return next((child for child in node.children() if child.value == name), node)


def _listing(names: Sequence[str]) -> str:
    more = f" and {len(names) - MOST_NAMES} more" if len(names) > MOST_NAMES else ""
    return ", ".join(names[:MOST_NAMES]) + more
