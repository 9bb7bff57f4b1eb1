"""Samples that cannot be read: each is reported and replaced by another sample, up to a limit."""

from __future__ import annotations

import errno
import traceback
from collections.abc import Callable
from dataclasses import dataclass, field

from artschool.errors import ArtschoolError, DataError, ResourceError

MAX_LISTED = 10
ADVICE = {
    errno.EMFILE: "raise the limit of open files (`ulimit -n`) or set fewer `workers`",
    errno.ENFILE: "the machine has too many open files; set fewer `workers`",
    errno.ENOMEM: "memory is full; set fewer `workers` or a smaller `batch_size`",
}
"""Fixes for errors that the machine causes, not the sample."""


@dataclass(frozen=True)
class BadSample:
    """The index of a sample that could not be read, and the reason."""

    index: int
    reason: str


def bad_sample(index: int, epoch: int, error: Exception) -> BadSample:
    """Describe a sample for which the data set raised an exception."""
    sample = f"sample {index} (epoch {epoch})"
    if isinstance(error, DataError):
        return BadSample(index, f"{sample}: {error}")
    frame = traceback.extract_tb(error.__traceback__)[-1]
    location = f"\n    at {frame.filename}:{frame.lineno}: {frame.line}"
    return BadSample(index, f"{sample} raised {type(error).__name__}: {error}{location}")


def machine_error(name: str, error: Exception) -> ArtschoolError | None:
    """The error to raise if the machine caused it, so that other samples would fail too. None: the sample caused it."""
    if isinstance(error, OSError) and error.errno in ADVICE:
        return ResourceError(f"{name}: {error}. Fix: {ADVICE[error.errno]}")
    return error if isinstance(error, ArtschoolError) and not isinstance(error, DataError) else None


def _silent(message: str) -> None:
    pass


@dataclass
class BadSamples:
    """The samples of a data set that this process could not read.

    Attributes:
        name: The path of the data set in the config file.
        max_bad: Maximum number of samples to replace. One more ends the run.
        reasons: The reasons by the index of the sample.
        note: Called with a message for each sample, once.
    """

    name: str
    max_bad: int = 0
    reasons: dict[int, str] = field(default_factory=dict)
    note: Callable[[str], None] = _silent

    def add(self, sample: BadSample) -> None:
        """Count and report a sample that has been replaced.

        Raises:
            DataError: The number of samples exceeds `max_bad`.
        """
        if sample.index in self.reasons:
            return
        self.reasons[sample.index] = sample.reason
        count = len(self.reasons)
        if self.max_bad == 0:
            fix = f"    Fix: repair the sample, or replace up to 10 bad samples with `{self.name}.max_bad: 10`"
            raise DataError(f"{self.name}: {sample.reason}\n{fix}")
        if count > self.max_bad:
            raise DataError(
                f"{self.name}: {count} samples cannot be read, more than `max_bad: {self.max_bad}`:{self._list()}"
            )
        first = sample.reason.split("\n", 1)[0]
        self.note(f"warning: {self.name}: {first}; replaced by another sample ({count} of at most {self.max_bad})")

    def report(self) -> None:
        """List the replaced samples, if there are any. If there were too many, `add` has listed them."""
        if 0 < len(self.reasons) <= self.max_bad:
            number, verb = ("1 sample", "was") if len(self.reasons) == 1 else (f"{len(self.reasons)} samples", "were")
            self.note(f"warning: {self.name}: {number} could not be read and {verb} replaced:{self._list()}")

    def _list(self) -> str:
        firsts = [reason.split("\n", 1)[0] for reason in self.reasons.values()]
        more = [f"and {len(firsts) - MAX_LISTED} more"] if len(firsts) > MAX_LISTED else []
        return "".join(f"\n    {line}" for line in firsts[:MAX_LISTED] + more)
