"""Which networks a file compiles, and how."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from artschool.config.parallel import sharded_networks
from artschool.config.source import Node
from artschool.config.structure import Component, Config, StepConfig
from artschool.faults import Fault, Place
from artschool.registry.network_entry import CompileEntry, NetworkEntry
from artschool.registry.roles import ComponentRole


@dataclass(frozen=True)
class Compiled:
    """How a network is compiled.

    Attributes:
        path: Path of the option that says so: `networks.<name>.compile` or `train.compile`.
        node: The value of this option.
    """

    entry: CompileEntry
    path: str
    node: Node

    def place(self, option: str) -> Place:
        """The location of an option of `compile`."""
        return (self.node.get(option) or self.node).place


def compiled_networks(config: Config) -> dict[str, Compiled]:
    """The networks that the file compiles, by name."""
    found: dict[str, Compiled] = {}
    for name, component in config.networks.items():
        own = component.entry.compile if isinstance(component.entry, NetworkEntry) else None
        chosen = config.sections.train.compile if own is None else own
        if chosen is not False:
            owner, path = (config.tree.at(("train",)), "train") if own is None else (component.node, component.path)
            node = owner.get("compile") or owner
            found[name] = Compiled(CompileEntry() if chosen is True else chosen, f"{path}.compile", node)
    return found


def compile_faults(config: Config) -> Iterator[Fault]:
    """Faults of options that `compile` excludes, once for each place that sets it."""
    networks = compiled_networks(config)
    sharded = [name for name in sharded_networks(config) if name in networks and networks[name].entry.uses_cuda_graphs]
    for path, name in {networks[name].path: name for name in reversed(sharded)}.items():
        message = f"uses CUDA graphs, which do not work with sharded networks, such as {name!r}"
        yield Fault(networks[name].place("mode"), f"{path}.mode", message, "Fix: write `max-autotune-no-cudagraphs`.")
    settings: Mapping[str, Compiled] = {compiled.path: compiled for compiled in networks.values()}
    for path, compiled in settings.items():
        if compiled.entry.mode != "default" and compiled.entry.backend != "inductor":
            message = f"is a mode of inductor, but the backend is {compiled.entry.backend!r}"
            yield Fault(compiled.place("mode"), f"{path}.mode", message, "Fix: remove one of the two.")


def second_order_networks(config: Config) -> dict[str, str]:
    """The networks whose gradient a loss differentiates again, each with the path of the loss.

    They are found by the keys that the loss reads. A loss that calls a network itself is not among them.
    """
    found: dict[str, str] = {}
    for step in config.steps.values():
        for loss in step.losses.values():
            is_second_order = loss.registered is not None and ComponentRole.SECOND_ORDER in loss.registered.roles
            if is_second_order and not loss.networks:
                found |= dict.fromkeys(_networks_before(step, loss), loss.path)
    return found


def _networks_before(step: StepConfig, loss: Component) -> Iterator[str]:
    """The networks on whose results the keys of a loss depend."""
    needed = {use.name for use in loss.reads}
    for injector in reversed(step.injectors.values()):
        if any(use.name in needed for use in injector.writes):
            needed |= {use.name for use in injector.reads}
            yield from (use.name for use in injector.networks)
