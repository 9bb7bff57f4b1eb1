"""The regimes of a run: sets of iterations at which the same parts are active."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence

from artschool.config.iterations import Iterations
from artschool.config.step_parts import components_of
from artschool.config.structure import Component, Config
from artschool.config.when import Cycle, When, first_uncovered


def regimes(config: Config, iterations: int, starts: Collection[int] = ()) -> dict[int, int]:
    """The first iteration of each regime, in order, and the number of iterations of the regime.

    Two iterations belong to the same regime if the same steps, injectors, losses, optimizers, callbacks and networks
    are active at both, the same averages with an interval move, and their batches are split into the same number of
    micro-batches.

    Args:
        config: A checked file.
        iterations: The number of iterations of the run.
        starts: Iterations at which something else begins.
    """
    train = config.sections.train
    gates = [*_gates(config), *(When(after=start) for start in starts)]
    first: dict[tuple[object, ...], int] = {}
    counts: dict[int, int] = {}
    for iteration, count in _candidates(gates, train.start_iteration, iterations):
        active = (*(gate.active(iteration) for gate in gates), train.num_micro_batches(iteration))
        start = first.setdefault(active, iteration)
        counts[start] = counts.get(start, 0) + count
    return counts


def representatives(config: Config, iterations: Sequence[int]) -> list[int]:
    """A small subset of iterations at which every step runs in every variant that it has at any of them.

    The variant of a step is given by its active parts, the networks that it trains, the number of micro-batches, and
    the variants of the steps that wrote what it reads. An average with an interval moves at one of the iterations, too.
    The subset is found greedily, so it may not be the smallest.
    """
    numbers: dict[object, int] = {}
    variants = {iteration: _variants(config, iteration, numbers) for iteration in iterations}
    chosen, seen = list[int](), set[int]()
    for iteration in sorted(iterations, key=lambda iteration: (-len(variants[iteration]), iteration)):
        new = variants[iteration].keys() - seen
        if new:
            chosen.append(iteration)
            seen |= new
    return sorted(chosen)


def _variants(config: Config, iteration: int, numbers: dict[object, int]) -> dict[int, None]:
    """The variants in which the steps run at an iteration, as numbers. `numbers` assigns them."""
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
        variant = (step.name, tuple(part.path for part in parts), tuple(moved), tuple(sorted(given.items())), split)
        number = numbers.setdefault(variant, len(numbers))
        writers |= {use.name: number for part in parts for use in part.writes}
        found[number] = None
    for average in config.averages.values():
        if average.due is not None and iteration in average.due:
            found[numbers.setdefault(average.name, len(numbers))] = None
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
    gates |= dict.fromkeys(when for average in config.averages.values() if average.due for when in average.due.parts)
    if (exception := config.sections.train.accumulate_every) is not None:
        gates[When(every=exception.every)] = None
    yield from gates


def _candidates(gates: list[When], start: int, stop: int) -> Iterator[tuple[int, int]]:
    """The first iterations of sets that cover the run, in order, and the number of iterations of each set.

    What is active changes only at the bounds of gates, and inside a set not at all.
    """
    bounds = {start, *(gate.after for gate in gates), *(gate.before + 1 for gate in gates if gate.before is not None)}
    inside = sorted(bound for bound in bounds if start <= bound < stop)
    for bound, end in zip(inside, [*inside, stop][1:], strict=True):
        cycles = dict.fromkeys(gate.cycle for gate in gates if (gate & When(bound, end - 1)).first() is not None)
        yield from sorted(_parts(When(bound, end - 1), [], [*cycles]))


def _parts(within: When, without: list[When], cycles: Sequence[Cycle]) -> Iterator[tuple[int, int]]:
    """The parts of a set in which each of some cycles contains all iterations or none: first iteration and number.

    Args:
        within: The set.
        without: Sets whose iterations are left out.
        cycles: The cycles that divide it.
    """
    first = first_uncovered(within, without)
    if first is None:
        return
    if not cycles:
        left_out = Iterations.of(within & each for each in without)
        yield first, Iterations.of([within]).count() - left_out.count()
        return
    cycle, *rest = cycles
    inside = When(within.after, within.before, *cycle)
    yield from _parts(within & inside, without, rest)
    yield from _parts(within, [*without, inside], rest)
