"""The check of names: every network, data set, step and metric that a file refers to exists."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import pairwise

from artschool.config.compiling import compile_faults
from artschool.config.flow import declared_keys, yielded_keys
from artschool.config.network_options import check_networks, weights_of
from artschool.config.parallel import check_parallel
from artschool.config.source import Node
from artschool.config.structure import Component, Config, StepConfig
from artschool.errors import Fault, Place

STEP_NUMBERS = {"total", "lr", "grad_norm", "skipped", "scale"}
"""The numbers that every step logs besides its losses."""


def check_references(config: Config) -> Iterator[Fault]:
    """Faults of names that refer to nothing, and of steps that cannot train."""
    for step in config.steps.values():
        yield from _check_trained(config, step)
        yield from _check_optimizer(step, f"steps.{step.name}")
    yield from check_networks(config)
    ema = config.sections.ema
    # A faulty `ema:` may average any network, so that only its own fault is reported.
    averages = ema.decays if ema else config.networks if config.tree.get("ema") else ()
    averaged = {f"{name}.ema" for name in averages}
    for component in _all_components(config):
        for use in component.networks:
            if use.name not in averaged:
                yield from _check_network(config, use.name, use.place, f"{component.path}.{use.parameter}")
    yield from _check_evaluated_steps(config)
    yield from _check_data(config)
    yield from _check_training(config)
    yield from _check_ema(config)
    yield from _check_logged_names(config)
    yield from _check_keep_best(config)
    yield from _check_pictures(config)
    yield from check_parallel(config)
    yield from compile_faults(config)


def _check_pictures(config: Config) -> Iterator[Fault]:
    """Faults of `log.pictures.range` with a key that is not drawn."""
    pictures = config.sections.log.pictures
    ranges = pictures.range if pictures is not None and isinstance(pictures.range, dict) else {}
    for key in ranges:
        if pictures is not None and key not in pictures.keys:
            place = config.tree.at(("log", "pictures", "range", key)).start
            message = f"{key!r} is not drawn"
            yield Fault.unknown_name(
                place, f"log.pictures.range.{key}", message, key, pictures.keys, listed_as="Keys that are drawn"
            )


def warn_of_unused(config: Config) -> Iterator[Fault]:
    """Warnings about networks and data sets that nothing uses."""
    used = {use.name.removesuffix(".ema") for component in _all_components(config) for use in component.networks}
    used |= {name for step in config.steps.values() for name in step.section.trained}
    sources = [weights for network in config.networks.values() if (weights := weights_of(network)) is not None]
    used |= {weights.network for weights in sources if weights.network is not None}
    for name, network in config.networks.items():
        if name not in used:
            yield Fault(network.node.start, network.path, "no step or evaluation uses this network")
    used_data = {"train"} | {evaluation.section.data for evaluation in config.evaluations.values()}
    for name, data in config.data.items():
        if name not in used_data:
            yield Fault(data.node.start, data.path, "nothing uses this data set")


def _check_network(config: Config, name: str, place: Place, path: str) -> Iterator[Fault]:
    own, dot, _ = name.rpartition(".ema")
    if dot and own in config.networks:
        yield Fault(place, path, f"network {own!r} has no moving average", f"Fix: add `ema: {{networks: [{own}]}}`.")
    elif name not in config.networks:
        # gen_ema may be a slip for gen.ema.
        averages = config.sections.ema.decays if config.sections.ema and ("." in name or name.endswith("ema")) else []
        averaged = [f"{average}.ema" for average in averages]
        known, message = [*config.networks, *averaged], f"unknown network {name!r}"
        yield Fault.unknown_name(place, path, message, name, known, listed_as="Available networks")


def _check_evaluated_steps(config: Config) -> Iterator[Fault]:
    for evaluation in config.evaluations.values():
        path = f"evaluate.{evaluation.name}"
        for name, place in _names(_node(evaluation.node, "steps")) if evaluation.section.steps else ():
            if name not in config.steps:
                message, listed_as = f"unknown step {name!r}", "Available steps"
                yield Fault.unknown_name(place, f"{path}.steps", message, name, config.steps, listed_as=listed_as)
        if not evaluation.section.steps and not evaluation.section.metrics:
            hint = "An evaluation computes metrics, or reports the losses of the steps that it lists."
            yield Fault.missing_option(evaluation.node.start, path, "metrics", "steps", hint=hint)


def _check_trained(config: Config, step: StepConfig) -> Iterator[Fault]:
    path, seen = f"steps.{step.name}.trains", set()
    for name, place in _names(_node(step.node, "trains")):
        yield from _check_network(config, name, place, path)
        network = config.networks.get(name)
        if network is not None and getattr(network.entry, "frozen", False) is True:
            yield Fault(place, path, f"trains {name!r}, which is frozen at {network.node.place}")
        elif network is not None and getattr(network.entry, "saves", True) is False:
            hint = "Fix: write `saved: trained`, which leaves out only what is not trained."
            yield Fault(place, path, f"trains {name!r}, which has `saved: false` at {network.node.place}", hint)
        if name in seen:
            yield Fault(place, path, f"lists {name!r} twice")
        seen.add(name)


def _check_optimizer(step: StepConfig, path: str) -> Iterator[Fault]:
    place = step.node.start
    names = ", ".join(repr(name) for name in step.section.trained)
    if step.section.optimizer is None:
        yield Fault(place, path, f"trains {names} but has no optimizer; write `optimizer: none` if that is intended")
    elif step.section.optimizer != "none" and not step.losses:
        yield Fault(place, path, f"trains {names} but has no losses, so no weight would change")
    if step.schedule and step.optimizer is None:
        node = _node(step.node, "schedule")
        yield Fault(node.start, f"{path}.schedule", "has no effect, because the step has no optimizer")
    starts = [(getattr(phase.entry, "from_", 0), phase) for phase in step.schedule]
    for (earlier, _), (later, phase) in pairwise(starts):
        if phase.entry is not None and later <= earlier:
            yield Fault(
                phase.node.place,
                phase.path,
                f"starts at iteration {later}, but the previous phase starts at {earlier}; set a later `from`",
            )


def _check_data(config: Config) -> Iterator[Fault]:
    data = _node(config.tree, "data")
    if "train" not in config.data:
        yield Fault.missing_option(data.start, "data", "train", hint="The steps train on the data set `data.train`.")
    for component in config.data.values():
        yield from _check_keys(component)
    for evaluation in config.evaluations.values():
        name = evaluation.section.data
        if name not in config.data:
            place = _node(evaluation.node, "data").place
            path, message = f"evaluate.{evaluation.name}.data", f"unknown data set {name!r}"
            yield Fault.unknown_name(place, path, message, name, config.data, listed_as="Available data sets")


def _check_keys(data: Component) -> Iterator[Fault]:
    """Faults of the keys that options of a data set name, where the data set declares its keys."""
    declared = data.registered.signature.yields if data.registered and not data.inner else None
    for option, known in (("keys", declared), ("pad", yielded_keys(data)), ("sort_key", declared_keys(data))):
        node = data.node.get(option)
        if known is None or node is None or node.value is None:
            continue
        for key, place in _names(node):
            if key not in known:
                path, message = f"{data.path}.{option}", f"the data set does not yield {key!r}"
                yield Fault.unknown_name(place, path, message, key, known, listed_as="Available keys")


def _check_training(config: Config) -> Iterator[Fault]:
    train, node = config.sections.train, _node(config.tree, "train")
    if train.iterations is None and train.epochs is None:
        yield Fault.missing_option(node.start, "train", "iterations", "epochs")
    elif train.iterations is not None and train.epochs is not None:
        yield Fault(node.start, "train", "sets both 'iterations' and 'epochs'; remove one")
    if train.iterations is not None and train.start_iteration >= train.iterations:
        message = f"starts at iteration {train.start_iteration}, but training ends after {train.iterations} iterations"
        yield Fault(_node(node, "start_iteration").place, "train.start_iteration", message)


def _check_ema(config: Config) -> Iterator[Fault]:
    if config.sections.ema is not None:
        networks = _node(_node(config.tree, "ema"), "networks")
        if isinstance(networks.value, dict):
            listed: Iterable[tuple[str, Place]] = [(name, node.start) for name, node in networks.value.items()]
        else:
            listed = _names(networks)
        for name, place in listed:
            yield from _check_network(config, name, place, "ema.networks")


def _check_logged_names(config: Config) -> Iterator[Fault]:
    """Faults of losses and metrics that would be logged under a name that is already taken."""
    for step in config.steps.values():
        for name in step.losses.keys() & STEP_NUMBERS:
            loss = step.losses[name]
            message = f"every step already logs a number named {name!r}; choose another name"
            yield Fault(loss.node.start, loss.path, message)
    for evaluation in config.evaluations.values():
        namesake = config.steps.get(evaluation.name)
        for name in evaluation.metrics.keys() & (STEP_NUMBERS | namesake.losses.keys() if namesake else set()):
            metric = evaluation.metrics[name]
            message = f"step {evaluation.name!r} already logs '{evaluation.name}/{name}'; rename one of them"
            yield Fault(metric.node.start, metric.path, message)


def _check_keep_best(config: Config) -> Iterator[Fault]:
    best = config.sections.checkpoint.keep_best
    if best is None:
        return
    known = [f"{e.name}/{metric}" for e in config.evaluations.values() for metric in e.metrics]
    for evaluation in config.evaluations.values():
        for step in (config.steps[name] for name in evaluation.section.steps if name in config.steps):
            known += [f"{evaluation.name}/{step.name}/{loss}" for loss in step.losses]
    if best.metric not in known:
        node = _node(_node(_node(config.tree, "checkpoint"), "keep_best"), "metric")
        path, message = "checkpoint.keep_best.metric", f"no evaluation reports {best.metric!r}"
        yield Fault.unknown_name(node.place, path, message, best.metric, known, listed_as="Available metrics")


def _all_components(config: Config) -> Iterable[Component]:
    for step in config.steps.values():
        yield from step.injectors.values()
        yield from step.losses.values()
        yield from step.callbacks.values()
    for evaluation in config.evaluations.values():
        yield from evaluation.injectors.values()
        yield from evaluation.metrics.values()


def _names(node: Node) -> Iterator[tuple[str, Place]]:
    """The names in a node that is a single name or a list, each with its location."""
    for part in node.children() if isinstance(node.value, list) else [node]:
        yield str(part.value), part.place


def _node(node: Node, key: str) -> Node:
    return node.get(key) or node
