"""Samples that cannot be read: each is reported and replaced by another sample, up to a limit."""

from __future__ import annotations

import errno
import traceback
from collections.abc import Callable
from dataclasses import dataclass, field

from artschool.errors import ArtschoolError, DataError, ResourceError, text_of
from artschool.shortages import is_out_of_memory, shortage_error

MAX_LISTED = 10


@dataclass(frozen=True)
class BadSample:
    """The index of a sample that could not be read, and the reason."""

    index: int
    reason: str


def bad_sample(index: int, epoch: int, error: BaseException, identity: str = "") -> BadSample:
    """Describe a sample for which the data set raised an exception, or which is of the wrong kind.

    Args:
        identity: What the sample says about itself, such as its name.
    """
    sample = f"sample {index} (epoch {epoch}{', ' if identity else ''}{identity})"
    if isinstance(error, DataError):
        return BadSample(index, f"{sample}: {text_of(error)}")
    frame = traceback.extract_tb(error.__traceback__)[-1]
    location = f"\n    at {frame.filename}:{frame.lineno}: {frame.line}"
    return BadSample(index, f"{sample} raised {type(error).__name__}: {text_of(error)}{location}")


def machine_error(name: str, error: BaseException) -> ArtschoolError | None:
    """The error to raise if the machine caused it, so that other samples would fail too. None: the sample caused it."""
    if isinstance(error, OSError) and error.errno == errno.EFBIG:
        return ResourceError(f"{name}: {error}. Fix: raise the limit of the size of files (`ulimit -f`)")
    if is_out_of_memory(error) and not isinstance(error, ArtschoolError):
        return ResourceError(f"{name}: a sample ran out of memory. Fix: set fewer `workers` or a smaller `batch_size`")
    if (shortage := shortage_error(error, name)) is not None:
        return shortage
    if not isinstance(error, ArtschoolError) or isinstance(error, DataError):
        return None
    if type(error).__module__ == ArtschoolError.__module__:
        return error
    # A class of a plugin may be one that cannot be sent from a worker.
    return ResourceError(f"{name}: {type(error).__name__}: {text_of(error)}")


def _silent(message: str) -> None:
    pass


@dataclass
class BadSamples:
    """The samples of a data set that this process could not read.

    Attributes:
        name: The path of the data set in the config file.
        max_bad: Maximum number of samples to replace. One more ends the run.
        place: Location of the data set in the config file.
        reasons: The reasons by the index of the sample.
        note: Called with a message for each sample, once.
    """

    name: str
    max_bad: int = 0
    place: str = ""
    reasons: dict[int, str] = field(default_factory=dict)
    note: Callable[[str], None] = _silent

    @property
    def where(self) -> str:
        """Location and path of the data set, for errors."""
        return f"{self.place}: {self.name}" if self.place else self.name

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
            first = "Or" if "Fix: " in sample.reason else "Fix: repair the sample, or"
            fix = f"    {first} replace up to 10 bad samples with `{self.name}.max_bad: 10`"
            raise DataError(f"{self.where}: {sample.reason}\n{fix}")
        if count > self.max_bad:
            raise DataError(
                f"{self.where}: {count} samples cannot be read, more than `max_bad: {self.max_bad}`:{self._list()}"
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
