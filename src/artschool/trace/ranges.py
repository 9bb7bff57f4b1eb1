"""Finds values of the loaded batches that hardly have the range that their reader expects."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from torch import Tensor, nn

from artschool.config.ranges import dataflows, misfits
from artschool.config.structure import Config
from artschool.faults import Fault
from artschool.lint.ranges import networks_of
from artschool.lint.subject import has_role, option
from artschool.registry import ComponentRole
from artschool.registry.ranges import OUT, Ranges, contradicts, differ, measured
from artschool.trace.keys import TracedKey


def range_warnings(
    config: Config,
    batches: Mapping[str, Mapping[str, Any]],
    modules: Mapping[str, nn.Module],
    keys: Mapping[str, TracedKey],
) -> Iterator[Fault]:
    """Warnings about keys whose range nothing declares.

    The first batch of each data set shows the range of its keys, and the last operation of a network, such as a tanh,
    that of its output. What the lint rule finds without them is left out.

    Args:
        modules: The built networks.
        keys: The keys that the steps wrote.
    """
    networks = networks_of(config, modules)
    said = {
        (f.place, f.path) for component, known in dataflows(config, networks) for f in misfits(component, known, differ)
    }
    found = {name: _measured(batch) for name, batch in batches.items()}
    for component, known in dataflows(config, _with_outputs(config, networks, keys), found):
        for fault in misfits(component, known, contradicts):
            if (fault.place, fault.path) not in said:
                yield fault


def _measured(batch: Mapping[str, Any]) -> Ranges:
    return {key: measured(value) for key, value in batch.items() if isinstance(value, Tensor)}


def _with_outputs(
    config: Config, networks: Mapping[str, Ranges], keys: Mapping[str, TracedKey]
) -> Mapping[str, Ranges]:
    """What the networks declare, and the ranges of the outputs that steps have traced."""
    traced = dict(networks)
    for component in (c for step in config.steps.values() for c in step.injectors.values()):
        if not has_role(component, ComponentRole.NETWORK_CALL) or option(component, "method") is not None:
            continue
        for network, use in zip(component.networks, component.writes, strict=False):
            key = keys.get(use.name)
            if key is not None and key.values is not None and OUT not in traced.get(network.name, {}):
                traced[network.name] = {**traced.get(network.name, {}), OUT: key.values}
    return traced
