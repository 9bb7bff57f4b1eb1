"""The numbers that mean "no condition", such as the class of images without a label."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass

from artschool.config.component import Component
from artschool.config.source import Node
from artschool.config.structure import Config
from artschool.engine.data_examples import Example


@dataclass(frozen=True)
class ConditionExample(Example):
    """The values of a key.

    Attributes:
        absent: Numbers beyond its classes that mean "no condition".
    """

    absent: frozenset[float] = frozenset()


def with_absent(example: Example | None, config: Config, key: str) -> Example | None:
    """What is known of a key, and the numbers that the file names for it under `nothing`."""
    if example is None or example.classes is None:
        return example
    found = (number for component in _injectors(config) for number in _nothing(component, key))
    return ConditionExample(**asdict(example), absent=frozenset(found))


def _injectors(config: Config) -> Iterator[Component]:
    for step in config.steps.values():
        yield from step.injectors.values()
    for evaluation in config.evaluations.values():
        yield from evaluation.injectors.values()


def _nothing(component: Component, key: str) -> Iterator[float]:
    conditions, nothing = (_mapping(component.node.get(name)) for name in ("conditions", "nothing"))
    for name, node in nothing.items():
        if name in conditions and conditions[name].value == key and isinstance(node.value, int | float):
            yield node.value


def _mapping(node: Node | None) -> dict[str, Node]:
    return node.value if node is not None and isinstance(node.value, dict) else {}
