"""The regimes of a run: stretches of iterations at which the same parts are active."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

from artschool.config.flow import components_of
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
        active = (*(gate.active(iteration) for gate in gates), train.num_micro_batches(iteration))
        seen.setdefault(active, iteration)
    return list(seen.values())


def covering(config: Config, iterations: Sequence[int]) -> list[int]:
    """Fewest of these iterations, or nearly so, among which each step runs in every way it does at any of them.

    A step runs in another way when other parts of it are active, when it trains other networks, or when what it reads
    was written in another way.
    """
    numbers: dict[object, int] = {}
    ways = {iteration: _ways(config, iteration, numbers) for iteration in iterations}
    chosen, seen = list[int](), set[int]()
    for iteration in sorted(iterations, key=lambda iteration: (-len(ways[iteration]), iteration)):
        new = ways[iteration].keys() - seen
        if new:
            chosen.append(iteration)
            seen |= new
    return sorted(chosen)


def _ways(config: Config, iteration: int, numbers: dict[object, int]) -> dict[int, None]:
    """The ways in which the steps run at an iteration, each a number."""
    writers: dict[str, int] = {}
    found: dict[int, None] = {}
    for step in config.steps.values():
        if not step.section.when.active(iteration):
            continue
        parts = [part for part, _ in components_of(step) if part.when.active(iteration)]
        moves = step.moves_when.active(iteration)
        moved = [name for name in step.section.trained if moves and config.networks[name].when.active(iteration)]
        given = {use.name: writers[use.name] for part in parts for use in part.reads if use.name in writers}
        split = config.sections.train.num_micro_batches(iteration)
        way = (step.name, tuple(part.path for part in parts), tuple(moved), tuple(sorted(given.items())), split)
        number = numbers.setdefault(way, len(numbers))
        writers |= {use.name: number for part in parts for use in part.writes}
        found[number] = None
    return found


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
