"""Which networks are sharded, and what a sharded network cannot do."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from artschool.config.component import network_of
from artschool.config.structure import Component, Config, StepConfig
from artschool.faults import Fault, Place
from artschool.registry.entries import OptimizerEntry
from artschool.registry.network_entry import NetworkEntry, Parallel
from artschool.registry.roles import ComponentRole

FIX = "Fix: write `parallel: replicate` for the network"


def parallel_entry(network: Component) -> NetworkEntry:
    """The options of a network."""
    assert isinstance(network.entry, NetworkEntry)
    return network.entry


def parallel_of(config: Config, name: str) -> Parallel:
    """Where several processes keep a network."""
    own = parallel_entry(config.networks[name]).parallel
    return config.sections.train.parallel if own is None else own


def sharded_networks(config: Config) -> list[str]:
    """The networks that several processes shard."""
    sound = (name for name, network in config.networks.items() if isinstance(network.entry, NetworkEntry))
    return [name for name in sound if parallel_of(config, name) != "replicate"]


def methods_called(config: Config, name: str) -> set[str]:
    """The methods of a network that the file calls."""
    return {
        str(component.option("method"))
        for component in _components(config)
        if hasattr(component.entry, "option_method")
        and component.option("method") is not None
        and any(network_of(use.name) == name for use in component.networks)
    }


def check_parallel(config: Config) -> Iterator[Fault]:
    """Faults of what works with replicated networks only."""
    sharded = sharded_networks(config)
    if sharded and config.sections.train.on_out_of_memory == "split":
        message = (
            f"cannot be `split` while {_names(sharded)} sharded: a process that runs out of memory leaves the others "
            "waiting for it inside of torch"
        )
        place = config.tree.at(("train", "on_out_of_memory")).place
        yield Fault(place, "train.on_out_of_memory", message, f"{FIX}.")
    for step in config.steps.values() if sharded else ():
        yield from _check_step(step, sharded)


def _check_step(step: StepConfig, sharded: list[str]) -> Iterator[Fault]:
    path = f"steps.{step.name}"
    if step.section.requires:
        message = (
            f"cannot be used while {_names(sharded)} sharded: a process whose batch lacks a key would skip the step, "
            "and the others would wait for it"
        )
        yield Fault(_place(step, "requires"), f"{path}.requires", message, f"{FIX}.")
    trained = [name for name in step.section.trained if name in sharded]
    if trained and step.section.batch_sizing is not None:
        message = f"does not work with gradients that are sharded, as those of {trained[0]!r} are"
        yield Fault(_place(step, "batch_sizing"), f"{path}.batch_sizing", message, f"{FIX}.")
    if trained and step.optimizer is not None and isinstance(step.optimizer.entry, OptimizerEntry):
        node = step.optimizer.node.get("shard")
        if node is not None and step.optimizer.entry.shard:
            message = f"has no effect on {trained[0]!r}, which is sharded together with its optimizer state"
            yield Fault(node.place, f"{path}.optimizer.shard", message, "Fix: remove it.")
    for loss in step.losses.values():
        differentiated = {*trained, *(use.name for use in loss.networks)} & set(sharded)
        if loss.registered and ComponentRole.SECOND_ORDER in loss.registered.roles and differentiated:
            message = (
                f"differentiates gradients of {min(differentiated)!r}, which is sharded; torch frees the gathered "
                "parameters before the second pass"
            )
            yield Fault(loss.node.start, loss.path, message, f"{FIX}.")
    for part in (*step.injectors.values(), *step.losses.values()):
        for use in part.networks if part.registered and ComponentRole.DIFFERENTIATES in part.registered.roles else ():
            if use.name in sharded:
                message = f"differentiates losses at {use.name!r}, which is sharded"
                yield Fault(use.place, f"{part.path}.{use.parameter}", message, f"{FIX}.")


def _components(config: Config) -> Iterator[Component]:
    """Everything in the steps and evaluations that can call a network, with the components inside it."""
    for step in config.steps.values():
        yield from _with_inner([*step.injectors.values(), *step.losses.values()])
    for evaluation in config.evaluations.values():
        yield from _with_inner([*evaluation.injectors.values(), *evaluation.metrics.values()])


def _with_inner(components: Iterable[Component]) -> Iterator[Component]:
    for component in components:
        yield component
        yield from _with_inner(component.inner)


def _place(step: StepConfig, option: str) -> Place:
    return (step.node.get(option) or step.node).place


def _names(networks: list[str]) -> str:
    return f"{', '.join(map(repr, networks))} {'is' if len(networks) == 1 else 'are'}"
