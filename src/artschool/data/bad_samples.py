"""Samples that cannot be read: told when they are met, replaced as long as there are few, listed at the end."""

from __future__ import annotations

import errno
import traceback
from collections.abc import Callable
from dataclasses import dataclass, field

from artschool.errors import ArtschoolError, DataError, ResourceError

MAX_LISTED = 10
ADVICE = {
    errno.EMFILE: "raise the limit of open files (`ulimit -n`), or take fewer `workers`",
    errno.ENFILE: "the machine has too many open files; take fewer `workers`",
    errno.ENOMEM: "memory is full; take fewer `workers` or a smaller `batch_size`",
}
"""What to turn where the machine, and not the sample, is at fault."""


@dataclass(frozen=True)
class BadSample:
    """A sample that could not be read: which, and what happened."""

    index: int
    reason: str


def bad_sample(index: int, epoch: int, error: Exception) -> BadSample:
    """What an exception of a data set says about one of its samples."""
    asked = f"sample {index} (epoch {epoch})"
    if isinstance(error, DataError):
        return BadSample(index, f"{asked}: {error}")
    frame = traceback.extract_tb(error.__traceback__)[-1]
    where = f"\n    at {frame.filename}:{frame.lineno}: {frame.line}"
    return BadSample(index, f"{asked} raised {type(error).__name__}: {error}{where}")


def machine_error(name: str, error: Exception) -> ArtschoolError | None:
    """The error to stop with where another sample would fare no better."""
    if isinstance(error, OSError) and error.errno in ADVICE:
        return ResourceError(f"{name}: {error}; {ADVICE[error.errno]}")
    return error if isinstance(error, ArtschoolError) and not isinstance(error, DataError) else None


def _silent(message: str) -> None:
    pass


@dataclass
class BadSamples:
    """The samples of one data set that could not be read so far, in this process.

    Attributes:
        max_bad: How many are replaced; one more ends the run.
        reasons: What happened, by the index of the sample.
        note: Told of each, once.
    """

    name: str
    max_bad: int = 0
    reasons: dict[int, str] = field(default_factory=dict)
    note: Callable[[str], None] = _silent

    def add(self, sample: BadSample) -> None:
        """Count a sample that has been replaced.

        Raises:
            DataError: There are too many.
        """
        if sample.index in self.reasons:
            return
        self.reasons[sample.index] = sample.reason
        count = len(self.reasons)
        if self.max_bad == 0:
            advice = f"    `max_bad: 10` in `{self.name}` would replace up to ten such samples by others"
            raise DataError(f"{self.name}: {sample.reason}\n{advice}")
        if count > self.max_bad:
            raise DataError(
                f"{self.name}: more samples cannot be read than `max_bad: {self.max_bad}` allows:{self._list()}"
            )
        first = sample.reason.split("\n", 1)[0]
        self.note(f"{self.name}: {first}; replaced by another, {count} of at most {self.max_bad}")

    def report(self) -> None:
        """List what was replaced, if anything was; too many have ended the run, which tells them itself."""
        if 0 < len(self.reasons) <= self.max_bad:
            number = f"{len(self.reasons)} sample{'s' if len(self.reasons) > 1 else ''}"
            self.note(f"{self.name}: {number} could not be read and had others in their place:{self._list()}")

    def _list(self) -> str:
        firsts = [reason.split("\n", 1)[0] for reason in self.reasons.values()]
        more = [f"and {len(firsts) - MAX_LISTED} more"] if len(firsts) > MAX_LISTED else []
        return "".join(f"\n    {line}" for line in firsts[:MAX_LISTED] + more)
