"""Finds values of the loaded batches that hardly have the range that their reader expects."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from torch import Tensor, nn

from artschool.config.ranges import dataflows, misfits
from artschool.config.structure import Config
from artschool.errors import Fault
from artschool.lint.ranges import networks_of
from artschool.registry.ranges import Ranges, contradicts, measured


def range_warnings(
    config: Config, batches: Mapping[str, Mapping[str, Any]], modules: Mapping[str, nn.Module]
) -> Iterator[Fault]:
    """Warnings about keys whose range nothing declares, by the values of the first batch of each data set.

    What networks compute is not judged: before training, its range says little.
    """
    networks = networks_of(config, modules)
    found = {name: _measured(batch) for name, batch in batches.items()}
    flows = zip(dataflows(config, networks), dataflows(config, networks, found), strict=True)
    for (component, declared), (_, known) in flows:
        for use, fault in misfits(component, known, contradicts):
            if use.name not in declared.ranges and use.name not in known.computed:
                yield fault


def _measured(batch: Mapping[str, Any]) -> Ranges:
    return {key: measured(value) for key, value in batch.items() if isinstance(value, Tensor)}
