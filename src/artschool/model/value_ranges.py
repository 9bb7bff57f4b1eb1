"""The range of a key, as components declare it."""

from __future__ import annotations

from artschool.config.ranges import dataflows, declared, of_networks
from artschool.config.structure import Config
from artschool.engine.data_examples import DataExamples, Example
from artschool.model.cut import Cut
from artschool.registry.ranges import OUT, Range, usual


def range_of(config: Config, cut: Cut, known: DataExamples) -> Range | None:
    """The range of the only key of a cut. None: nothing declares it.

    Args:
        known: Its ranges stand in for those that data sets do not declare.
    """
    measured = {
        name: {key: found for key, example in keys.items() if (found := _range_in(example)) is not None}
        for name, keys in known.data.items()
    }
    writer = cut.flow.writers[cut.keys[0]]
    for component, ranges in dataflows(config, of_networks(config), measured):
        if component is writer:
            return declared(component, ranges.ranges, ranges.networks).get(OUT)
    return None


def _range_in(example: Example) -> Range | None:
    if example.low is None or example.high is None or not example.dtype.startswith(("float", "bfloat")):
        return None
    return usual((example.low, example.high))
