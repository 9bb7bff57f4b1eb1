"""Whether the keys of `log.pictures` are written in the iterations whose images are due."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import NamedTuple

from artschool.config.when import Cycle, When, first_uncovered


class Undrawn(NamedTuple):
    """Images that are due and cannot be drawn.

    Attributes:
        finished: The number of finished iterations after which the first of them is due.
        always: Whether none can ever be drawn, however long the run is.
        fix: What to write instead. Empty: the key begins too late or ends too early.
    """

    finished: int
    always: bool
    fix: str


def undrawn(writers: Mapping[str, When], due: When, during: When) -> Undrawn | None:
    """The images of a key that are due in a run, between its first and its last writer, when nothing writes it.

    Args:
        writers: The iterations at which each component or data set writes the key, by its path.
        due: The numbers of finished iterations after which images are due.
        during: The iterations of the run.
    """
    written = {path: when.finished for path, when in writers.items()}
    within = due & during.finished
    first = within.first()
    if first is None:
        return None  # No image at all is due. The linter reports it.
    always = all(due.cycle & when.cycle is None for when in written.values())
    if all((within & when).first() is None for when in written.values()):
        return Undrawn(first, always, ", or ".join(_fixes(written, due)))
    ends = [when.before for when in written.values()]
    span = When(min(when.after for when in written.values()), None if None in ends else max(end or 0 for end in ends))
    gap = first_uncovered(within & span, written.values())
    return None if gap is None else Undrawn(gap, False, ", or ".join(_fixes(written, due)))


def _fixes(written: Mapping[str, When], due: When) -> Iterator[str]:
    """Gates at which a writer and the images meet."""
    for path, when in written.items():
        if when.every > 1:
            yield f"`every: {Cycle(math.lcm(due.every, when.every), when.at)}` at log.pictures"
            yield f"`every: {Cycle(due.every, (due.at - 1) % due.every)}` at {path}"
            return
