"""The components of a step in the order in which they run, each with the iterations at which it does."""

from __future__ import annotations

from collections.abc import Iterator

from artschool.config.structure import Component, StepConfig
from artschool.config.value_gates import key_readers
from artschool.config.when import When
from artschool.faults import Fault

Run = tuple[Component, When]
"""A component, and the iterations at which it runs."""


def components_of(step: StepConfig, *, training: bool = True) -> Iterator[Run]:
    """The injectors and losses of a step in the order they run, each with the iterations at which it runs."""
    for component in step.parts_when(training=training):
        yield component, step.section.when & component.when


def readers_of(step: StepConfig) -> Iterator[Run]:
    """The injectors and losses of a step that trains, and its gate by a key."""
    yield from components_of(step)
    yield from ((reader, step.section.when) for reader in key_readers(step))


def never_runs(component: Component, when: When, during: When) -> Fault:
    """The warning about a component that is active at no iteration of the run."""
    return Fault(component.node.start, component.path, f"never runs: {when.missed(during)}")
