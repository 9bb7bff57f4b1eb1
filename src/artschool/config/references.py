"""The check of names: every network, data set, step and metric that a file refers to exists."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import pairwise

from artschool.config.compiling import compile_faults
from artschool.config.component import network_of
from artschool.config.data_keys import declared_keys, yielded_keys
from artschool.config.logged_numbers import number_name_faults
from artschool.config.network_options import check_networks, weights_of
from artschool.config.parallel import check_parallel
from artschool.config.report_sections import DrawnSection
from artschool.config.shared_optimizers import shared_optimizer_faults
from artschool.config.shown import shown_sections
from artschool.config.source import Node
from artschool.config.streams import streams
from artschool.config.structure import Component, Config, StepConfig
from artschool.config.value_gates import value_gate_faults
from artschool.faults import Fault, Place
from artschool.registry import ComponentRole


def check_references(config: Config) -> Iterator[Fault]:
    """Faults of names that refer to nothing, and of steps that cannot train."""
    for step in config.steps.values():
        yield from _check_trained(config, step)
        yield from _check_optimizer(step, f"steps.{step.name}")
        yield from _check_differentiated(step)
    yield from check_networks(config)
    averaged = {average.name for average in config.averages.values()}
    # A faulty `ema:` may average any network, so that only its own fault is reported.
    is_faulty = config.sections.ema is None and config.tree.get("ema") is not None
    for component in _all_components(config):
        for use in component.networks:
            may_exist = is_faulty and "." in use.name and network_of(use.name) in config.networks
            if use.name not in averaged and not may_exist:
                yield from _check_network(config, use.name, use.place, f"{component.path}.{use.parameter}")
    yield from shared_optimizer_faults(config)
    yield from value_gate_faults(config)
    yield from _check_evaluated_steps(config)
    yield from _check_data(config)
    yield from _check_training(config)
    yield from _check_ema(config)
    yield from _check_offload(config)
    yield from number_name_faults(config)
    yield from _check_pictures(config)
    yield from check_parallel(config)
    yield from compile_faults(config)


def _check_pictures(config: Config) -> Iterator[Fault]:
    """Faults of a `range` with a key that is not drawn."""
    for path, section in shown_sections(config).items():
        ranges = section.range if isinstance(section, DrawnSection) and isinstance(section.range, dict) else {}
        for key in ranges:
            if key not in section.keys:
                place, message = config.tree.at((*path, "range", key)).start, f"{key!r} is not drawn"
                at = ".".join((*path, "range", key))
                yield Fault.unknown_name(place, at, message, key, section.keys, listed_as="Keys that are drawn")


def warn_of_unused(config: Config) -> Iterator[Fault]:
    """Warnings about networks and data sets that nothing uses."""
    used = {network_of(use.name) for component in _all_components(config) for use in component.networks}
    used |= {name for step in config.steps.values() for name in step.section.trained}
    sources = [weights for network in config.networks.values() if (weights := weights_of(network)) is not None]
    used |= {weights.copied for weights in sources if weights.copied is not None}
    for name, network in config.networks.items():
        if name not in used:
            yield Fault(network.node.start, network.path, "no step or evaluation uses this network")
    used_data = {*streams(config)} | {evaluation.section.data for evaluation in config.evaluations.values()}
    for name, data in config.data.items():
        if name not in used_data:
            yield Fault(data.node.start, data.path, "nothing uses this data set")


def _check_network(config: Config, name: str, place: Place, path: str) -> Iterator[Fault]:
    averages, own = config.averages_of(network_of(name)), network_of(name)
    of_unknown = [average.name for average in config.averages.values() if average.of not in config.networks]
    if own in config.networks and name in {f"{own}.{average.rpartition('.')[2]}" for average in of_unknown}:
        return  # The network of the average is misspelt, which is reported.
    if name == f"{own}.ema" and own in config.networks and not averages:
        yield Fault(place, path, f"network {own!r} has no moving average", f"Fix: add `ema: {{networks: [{own}]}}`.")
    elif name not in config.networks:
        # gen_ema may be a slip for gen.ema.
        averaged = [a.name for a in config.averages.values()] if "." in name or name.endswith("ema") else []
        known, message = [*config.networks, *averaged], f"unknown network {name!r}"
        yield Fault.unknown_name(place, path, message, name, known, listed_as="Available networks")


def _check_evaluated_steps(config: Config) -> Iterator[Fault]:
    for evaluation in config.evaluations.values():
        path = f"evaluate.{evaluation.name}"
        for name, place in _names(evaluation.node.at(("steps",))) if evaluation.section.steps else ():
            if name not in config.steps:
                message, listed_as = f"unknown step {name!r}", "Available steps"
                yield Fault.unknown_name(place, f"{path}.steps", message, name, config.steps, listed_as=listed_as)
        if not evaluation.section.steps and not evaluation.section.metrics and not evaluation.section.shown:
            hint = "An evaluation computes metrics, shows samples, or reports the losses of the steps that it lists."
            yield Fault.missing_option(evaluation.node.start, path, "metrics", "steps", hint=hint)


def _check_trained(config: Config, step: StepConfig) -> Iterator[Fault]:
    path, seen = f"steps.{step.name}.trains", set()
    averages = {average.name: average for average in config.averages.values()}
    for name, place in _names(step.node.at(("trains",))):
        if name in averages:
            of = averages[name].of
            message = f"trains {name!r}, which is a moving average: it follows {of!r}"
            yield Fault(place, path, message, f"Fix: write `trains: {of}`.")
        else:
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


def _check_differentiated(step: StepConfig) -> Iterator[Fault]:
    """Faults of components that differentiate losses at a network without gradients, since the step trains others."""
    for component in [*step.injectors.values(), *step.losses.values()]:
        if component.registered is None or ComponentRole.DIFFERENTIATES not in component.registered.roles:
            continue
        for use in component.networks:
            if use.name not in step.section.trained:
                message = f"{use.name!r} has no gradients in this step, which trains {', '.join(step.section.trained)}"
                yield Fault(use.place, f"{component.path}.{use.parameter}", message)


def _check_optimizer(step: StepConfig, path: str) -> Iterator[Fault]:
    place = step.node.start
    names = ", ".join(repr(name) for name in step.section.trained)
    if step.section.optimizer is None:
        yield Fault(place, path, f"trains {names} but has no optimizer; write `optimizer: none` if that is intended")
    elif step.section.optimizer != "none" and not step.losses:
        yield Fault(place, path, f"trains {names} but has no losses, so no weight would change")
    if step.schedule and step.optimizer is None and step.of is None:
        node = step.node.at(("schedule",))
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
    data = config.tree.at(("data",))
    if "train" not in config.data:
        yield Fault.missing_option(data.start, "data", "train", hint="The steps train on the data set `data.train`.")
    for component in config.data.values():
        yield from _check_keys(component)
    readers = [(f"evaluate.{evaluation.name}", evaluation.node) for evaluation in config.evaluations.values()]
    readers += [(f"steps.{step.name}", step.node) for step in config.steps.values() if step.section.streams]
    for path, node in readers:
        seen = set()
        for name, place in _names(node.at(("data",))):
            if name not in config.data:
                message, listed_as = f"unknown data set {name!r}", "Available data sets"
                yield Fault.unknown_name(place, f"{path}.data", message, name, config.data, listed_as=listed_as)
            if name in seen:
                yield Fault(place, f"{path}.data", f"lists {name!r} twice")
            seen.add(name)


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
    train, node = config.sections.train, config.tree.at(("train",))
    if train.iterations is None and train.epochs is None:
        yield Fault.missing_option(node.start, "train", "iterations", "epochs")
    elif train.iterations is not None and train.epochs is not None:
        yield Fault(node.start, "train", "sets both 'iterations' and 'epochs'; remove one")
    if train.iterations is not None and train.start_iteration >= train.iterations:
        message = f"starts at iteration {train.start_iteration}, but training ends after {train.iterations} iterations"
        yield Fault(node.at(("start_iteration",)).place, "train.start_iteration", message)


def _check_ema(config: Config) -> Iterator[Fault]:
    """Faults of averages of unknown networks, of two averages with one name, and of evaluations of unknown ones."""
    networks = config.tree.at(("ema", "networks"))
    listed = dict(_names(networks)) if isinstance(networks.value, list) else {}
    entries, seen = networks.value if isinstance(networks.value, dict) else {}, set()
    for entry, average in config.averages.items():
        of = entries[entry].get("of") if entry in entries else None
        place = of.place if of is not None else listed[entry] if entry in listed else entries[entry].start
        yield from _check_network(config, average.of, place, "ema.networks")
        if average.name in seen:
            yield Fault(place, f"ema.networks.{entry}", f"is called {average.name!r}, as another entry is; rename it")
        seen.add(average.name)
    for evaluation in config.evaluations.values():
        for name, place in _names(evaluation.node.at(("ema",))) if not isinstance(evaluation.section.ema, bool) else ():
            if name not in seen:
                message, path = f"unknown moving average {name!r}", f"evaluate.{evaluation.name}.ema"
                yield Fault.unknown_name(place, path, message, name, seen, listed_as="Available averages")


def _check_offload(config: Config) -> Iterator[Fault]:
    """Faults of steps that call an average that is in the memory of the CPU."""
    if config.sections.train.offload.ema is None:
        return
    averages = {average.name for average in config.averages.values()}
    for step in config.steps.values():
        for component in (*step.injectors.values(), *step.losses.values(), *step.callbacks.values()):
            for use in component.networks:
                if use.name in averages:
                    message = f"a step cannot call {use.name!r}, which `train.offload` keeps in the memory of the CPU"
                    yield Fault(
                        use.place, f"{component.path}.{use.parameter}", message, "Fix: remove `train.offload.ema`."
                    )


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
