"""`artschool resume-test`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import click

from artschool.diagnose.resume_test import MOST_LISTED, ResumeTest, resume_test
from artschool.errors import CheckpointError, ConfigError


def resume_test_command(config: Path, overrides: Sequence[str], *, iterations: int, stop: int | None) -> None:
    """Compare a training with one that is stopped and resumed.

    Raises:
        CheckpointError: They differ.
        ConfigError: The file has faults, or the stop is not between the iterations.
    """
    stop = iterations // 2 if stop is None else stop
    if not 0 < stop < iterations:
        raise ConfigError(f"--stop: expected 1 to {iterations - 1}, got {stop}")
    result = resume_test(config, overrides, iterations=iterations, stop=stop)
    for line in lines(result):
        click.echo(line)
    if result.unsteady:
        raise CheckpointError(f"{config}: two trainings of the file are not the same, with or without a stop")
    if not result.passed:
        raise CheckpointError(f"{config}: a resumed training is not the same as an uninterrupted one")


def lines(result: ResumeTest) -> Iterator[str]:
    """The result for the user."""
    first, stop, last = result.first, result.stop, result.last
    yield f"trained: iterations {first} to {last - 1} straight, and with a stop after {stop - first} of {last - first}"
    for name, start in result.inactive.items():
        yield f"note: step {name} does not run in these iterations. Fix: train.start_iteration={start}"
    if result.passed:
        values, numbers = result.compared
        yield f"the same: {values} values of the state, {numbers} logged numbers, and all batches"
        yield from (f"note: not restored, without effect so far: {line}" for line in _most(result.not_restored))
        return
    parts = (f"{part} ({count} of {size} values)" for part, (count, size) in result.differing.items())
    yield f"differs at the end: {', '.join(parts) or 'nothing'}"
    yield f"first difference: {result.first_difference}"
    if result.unsteady:
        yield f"not deterministic: two uninterrupted trainings differ, too, first at: {result.unsteady}"
        yield (
            "Fix: set train.deterministic=true on a GPU; draw only from the global generators of Python, NumPy and "
            "torch; use no time and no order of sets or threads"
        )
    yield from (f"not restored: {line}" for line in _most(result.not_restored))
    if not result.not_restored and not result.unsteady:
        yield (
            "not restored: nothing that can be seen from outside. Search for iterators, open files, state of worker "
            "processes (try data.train.workers=0) and code that remembers earlier calls"
        )


def _most(found: Sequence[str]) -> Iterator[str]:
    yield from found[:MOST_LISTED]
    if len(found) > MOST_LISTED:
        yield f"{len(found) - MOST_LISTED} more"
