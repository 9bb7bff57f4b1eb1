"""Where networks get their weights from, and the check of options of networks that depend on each other."""

from __future__ import annotations

from collections.abc import Iterator

from artschool.config.component import Component
from artschool.config.structure import Config
from artschool.faults import Fault
from artschool.registry.network_entry import NetworkEntry, WeightsEntry


def weights_of(network: Component) -> WeightsEntry | None:
    """Where a network gets its weights from. None: it keeps its own initialization."""
    entry = network.entry
    weights = entry.weights if isinstance(entry, NetworkEntry) else None
    return weights if weights is None or isinstance(weights, WeightsEntry) else WeightsEntry(file=weights)


def adapters_of(network: Component) -> list[str]:
    """The adapters of a network in words, if it has any."""
    entry = network.entry
    return [entry.adapters.summary] if isinstance(entry, NetworkEntry) and entry.adapters is not None else []


def check_networks(config: Config) -> Iterator[Fault]:
    """Faults of networks whose weights come from nowhere, and of options without effect."""
    for name, network in config.networks.items():
        entry = network.entry
        if isinstance(entry, NetworkEntry) and entry.adapters is not None and entry.frozen:
            message = "has no effect beside `adapters`, which freeze everything else of the network"
            yield Fault((network.node.get("frozen") or network.node).place, f"{network.path}.frozen", message)
        weights = weights_of(network)
        if weights is not None:
            yield from _check_source(config, name, network, weights)


def _check_source(config: Config, name: str, network: Component, weights: WeightsEntry) -> Iterator[Fault]:
    path, node = f"{network.path}.weights", network.node.get("weights") or network.node
    if weights.run is not None:
        if weights.file is not None:
            yield Fault((node.get("run") or node).place, f"{path}.run", "sets both 'file' and 'run'; remove one")
        return
    if (chosen := node.get("checkpoint")) is not None:
        yield Fault(chosen.place, f"{path}.checkpoint", "has no effect without `run`")
    if weights.network is None:
        if weights.file is None:
            yield Fault.missing_option(node.start, path, "file", "network", "run")
        return
    at, path = (node.get("network") or node).place, f"{path}.network"
    if weights.file is not None:
        yield Fault(at, path, "sets both 'file' and 'network'; remove one")
    elif weights.network not in config.networks:
        message = f"unknown network {weights.network!r}"
        yield Fault.unknown_name(at, path, message, weights.network, config.networks, listed_as="Available networks")
    elif name in (circle := _sources(config, name)):
        cause = f"a circle of weights: {sorted(circle)}"
        yield Fault(at, path, f"starts from itself: {' <- '.join([name, *circle])}", cause=cause)


def _sources(config: Config, name: str) -> list[str]:
    """The networks that a network starts from, nearest first, up to the first that occurs twice."""
    found: list[str] = []
    while (weights := weights_of(config.networks[name])) is not None and weights.copied in config.networks:
        name = weights.copied
        if name in found:
            break
        found.append(name)
    return found
