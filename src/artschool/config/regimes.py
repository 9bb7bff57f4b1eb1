"""The regimes of a run: stretches of iterations at which the same parts are active."""

from __future__ import annotations

import math
from collections.abc import Iterator

from artschool.config.structure import Component, Config
from artschool.config.when import MOST_POINTS, When


def regimes(config: Config) -> list[int]:
    """The first iteration of each regime, in order.

    Two iterations belong to one regime when the same steps, injectors, losses, optimizers, callbacks and networks are
    active at both, and their batch goes through in as many parts.
    """
    train, gates = config.sections.train, list(_gates(config))
    seen: dict[tuple[object, ...], int] = {}
    for iteration in _candidates(gates, train.start_iteration, train.iterations):
        active = (*(gate.active(iteration) for gate in gates), train.parts(iteration))
        seen.setdefault(active, iteration)
    return list(seen.values())


def _gates(config: Config) -> Iterator[When]:
    gates: dict[When, None] = {}
    for step in config.steps.values():
        gates |= dict.fromkeys((step.section.when, step.section.trains_when))
        parts: list[Component] = [*step.injectors.values(), *step.losses.values(), *step.callbacks.values()]
        gates |= dict.fromkeys(part.when for part in parts)
        if step.optimizer is not None:
            gates[step.optimizer.when] = None
    gates |= dict.fromkeys(network.when for network in config.networks.values())
    if (other := config.sections.train.accumulate_every) is not None:
        gates[When(every=other.every)] = None
    yield from gates


def _candidates(gates: list[When], start: int, iterations: int | None) -> Iterator[int]:
    """What is active changes at the bounds, and repeats between them with the common period."""
    period = min(math.lcm(*(gate.every for gate in gates)), MOST_POINTS)
    bounds = {start, *(gate.after for gate in gates), *(gate.before + 1 for gate in gates if gate.before is not None)}
    inside = sorted(bound for bound in bounds if bound >= start and (iterations is None or bound < iterations))
    for bound, end in zip(inside, [*inside, iterations][1:], strict=True):
        yield from range(bound, bound + period if end is None else min(bound + period, end))
