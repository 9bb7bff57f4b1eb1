"""Compares an uninterrupted training with one that is stopped and resumed: `artschool resume-test`."""

from __future__ import annotations

import shutil
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from tempfile import mkdtemp
from typing import TypeVar

from artschool.diagnose.new_process import call_in_new_process
from artschool.diagnose.rehearsal import Recording, Rehearsal
from artschool.engine.incidents import FOLDER as INCIDENTS

Key = TypeVar("Key", str, tuple[str, int])
Call = Callable[[Rehearsal], Recording]
MOST_LISTED = 8


@dataclass
class ResumeTest:
    """The result of a test.

    Attributes:
        first: Number of finished iterations at its beginning.
        stop: The same at the stop.
        last: The same at the end.
        compared: Number of values of the state that were compared, and of logged numbers.
        inactive: The steps that have not run, each with the iteration from which it may.
        differing: How many values of each part of the state differ at the end, of how many.
        first_difference: Where logged numbers or batches differ first. "": nowhere.
        not_restored: What is not as it was before the stop when the training goes on, and what to do.
        unsteady: Where two uninterrupted trainings differ first. "": nowhere, or they were not compared.
    """

    first: int
    stop: int
    last: int
    compared: tuple[int, int]
    inactive: Mapping[str, int]
    differing: dict[str, tuple[int, int]] = field(default_factory=dict)
    first_difference: str = ""
    not_restored: list[str] = field(default_factory=list)
    unsteady: str = ""

    @property
    def passed(self) -> bool:
        """Whether the resumed training equals the uninterrupted one."""
        return not self.differing and not self.first_difference


def resume_test(
    config: Path, overrides: Sequence[str], *, iterations: int, stop: int, call: Call = call_in_new_process
) -> ResumeTest:
    """Train a file straight, and again with a stop and a resume, in a temporary folder.

    If the two differ, it is trained straight once more, to find out whether that gives the same bits at all.

    Args:
        iterations: Number of iterations in each of the trainings, at least 2.
        stop: Number of iterations before the stop: 1 or more, and fewer than `iterations`.
        call: Calls a function, by default in a process of its own.

    Raises:
        ArtschoolError: The file has faults, or its training fails.
    """
    with _folder() as folder:
        part = partial(Rehearsal, config, overrides)
        straight = call(part(Path(folder, "straight"), iterations))
        stopped = call(part(Path(folder, "stopped"), iterations, stop))
        resumed = call(part(Path(folder, "stopped"), iterations))
        result = _compare(straight, stopped, resumed)
        if not result.passed:
            again = call(part(Path(folder, "again"), iterations))
            result.unsteady = _first_difference(straight, again, "the first time", "the second time")
    return result


@contextmanager
def _folder() -> Iterator[Path]:
    """A folder that is removed afterwards, unless a training has failed whose incident is in it."""
    folder, is_kept = Path(mkdtemp(prefix="artschool-resume-test-")), False
    try:
        yield folder
    except Exception as error:
        is_kept = any(folder.glob(f"*/{INCIDENTS}/*"))
        if is_kept:
            error.add_note(f"What was trained for the test is kept in {folder}")
        raise
    finally:
        if not is_kept:
            shutil.rmtree(folder)


def _compare(straight: Recording, stopped: Recording, resumed: Recording) -> ResumeTest:
    both = Recording(
        straight.first,
        resumed.last,
        straight.inactive,
        stopped.start,
        resumed.end,
        stopped.numbers | resumed.numbers,
        stopped.batches | resumed.batches,
    )
    saved, _ = straight.end
    numbers = sum(len(each) for each in straight.numbers.values())
    differing = _differing(saved, both.end[0])
    return ResumeTest(
        straight.first,
        stopped.last,
        straight.last,
        (len(saved), numbers),
        straight.inactive,
        _by_part(saved, differing),
        _first_difference(straight, both, "straight", "resumed"),
        list(_not_restored(stopped, resumed)),
    )


def _differing(one: Mapping[Key, object], other: Mapping[Key, object]) -> list[Key]:
    """The keys whose values differ, or that one mapping lacks."""
    return [key for key in {**one, **other} if one.get(key) != other.get(key)]


def _by_part(state: Mapping[str, str], differing: Sequence[str]) -> dict[str, tuple[int, int]]:
    sizes = Counter(name.partition(": ")[0] for name in {*state, *differing})
    return {part: (count, sizes[part]) for part, count in Counter(n.partition(": ")[0] for n in differing).items()}


def _first_difference(one: Recording, other: Recording, name: str, other_name: str) -> str:
    """The first batch that differs, or else the first number, or else the first part of the state."""
    batches = sorted((position, stream) for stream, position in _differing(one.batches, other.batches))
    if batches:
        position, stream = batches[0]
        return f"batch {position} of data.{stream} has other values"
    for iteration, numbers in one.numbers.items():
        found = other.numbers.get(iteration, {})
        for key in _differing(numbers, found):
            values = f"{numbers.get(key, 'missing')} {name}, {found.get(key, 'missing')} {other_name}"
            return f"{key} in iteration {iteration}: {values}"
    return next((f"{key} at the end" for key in _differing(one.end[0], other.end[0])), "")


def _not_restored(stopped: Recording, resumed: Recording) -> Iterator[str]:
    """What differs between the end of the first part of a training and the beginning of the second."""
    saved, unsaved = (_changes(before, after) for before, after in zip(stopped.end, resumed.start, strict=True))
    for name, change in saved.items():
        yield f"{name}: {change}. It is in the checkpoint: please report this"
    for name, change in unsaved.items():
        yield f"{name}: {change}. Fix: {_fix(name, change)}"


def _changes(before: Mapping[str, str], after: Mapping[str, str]) -> dict[str, str]:
    return {
        name: f"{before.get(name, 'missing')} before the stop, {after.get(name, 'missing')} after it"
        for name in _differing(before, after)
    }


def _fix(name: str, change: str) -> str:
    if "Generator " in change or "Random" in change:
        return (
            "draw from the global generators of Python, NumPy or torch, which are seeded in each iteration and for "
            "each sample"
        )
    if name.startswith("data."):
        return "let the index of a sample and the global random generators determine the sample"
    if name.startswith("plugin "):
        return "keep it in a buffer of a network or component (`register_buffer`) instead of a module"
    return "keep it in a buffer (`register_buffer`), or compute it from the iteration"
