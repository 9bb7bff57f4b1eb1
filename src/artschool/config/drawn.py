"""Whether the keys of `log.pictures` are written in the iterations whose images are due."""

from __future__ import annotations

import math
from collections.abc import Mapping
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
    """The images of a key that are due in a run when nothing writes it, unless it begins to be written later.

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
        return Undrawn(first, always, _fix(written, due, within, first))
    begun = When(min(when.after for when in written.values()))
    gap = first_uncovered(within & begun, written.values())
    return None if gap is None else Undrawn(gap, False, _fix(written, due, within, gap))


def _fix(written: Mapping[str, When], due: When, within: When, first: int) -> str:
    """Gates at which the images meet a writer that has not ended when the first of them cannot be drawn."""
    for path, when in written.items():
        if when.every > 1 and (within & When(when.after, when.before)).first(first) is not None:
            of_images = Cycle(math.lcm(due.every, when.every), when.at)
            of_writer = Cycle(due.every, (due.at - 1) % due.every)
            return f"`every: {of_images}` at log.pictures, or `every: {of_writer}` at {path}"
    return ""
