"""The parts of an iteration as a tree, and how an iteration is divided among them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, field
from typing import Any, Protocol

import torch

from artschool.config.streams import TRAIN
from artschool.faults import Place

ITERATION, WAIT, COPY, BACKWARD = "iteration", "wait for data", "copy to the device", "backward"
EXCHANGE, OPTIMIZER, LOG = "exchange", "optimizer", "log"


def waiting_for(stream: str) -> str:
    """The name of the part that waits for a batch of a stream."""
    return WAIT if stream == TRAIN else f"{WAIT}.{stream}"


@dataclass(eq=False)
class Part:
    """A part of an iteration.

    Attributes:
        name: Its name in the table.
        path: The path of what it runs in the file; "" if nothing in the file corresponds to it.
        place: The location of that in the file.
        parent: The part that it is a part of.
        parts: Its own parts by name, in the order in which they first ran.
        own_seconds: Time in the timed iterations, without that of its parts.
        own_flops: Floating-point operations of the counted iteration, without those of its parts.
        own_operations: Operations of torch in the counted iteration, likewise.
        peak: Largest number of bytes in use while it ran in the counted iteration. 0: not measured.
    """

    name: str
    path: str = ""
    place: Place | None = None
    parent: Part | None = field(default=None, repr=False)
    parts: dict[str, Part] = field(default_factory=dict)
    own_seconds: float = 0.0
    own_flops: int = 0
    own_operations: int = 0
    peak: int = 0

    def part(self, name: str, path: str = "", place: Place | None = None) -> Part:
        """The part with a name, new if there is none yet."""
        if name not in self.parts:
            self.parts[name] = Part(name, path, place, self)
        return self.parts[name]

    def all(self) -> Iterator[Part]:
        """This part and all parts below it, each before its own parts."""
        yield self
        for part in self.parts.values():
            yield from part.all()

    def below(self, name: str) -> list[Part]:
        """All parts below this one that have a name."""
        return [part for part in self.all() if part.name == name and part is not self]

    @property
    def seconds(self) -> float:
        """Time in the timed iterations."""
        return sum(part.own_seconds for part in self.all())

    @property
    def flops(self) -> int:
        """Floating-point operations of the counted iteration."""
        return sum(part.own_flops for part in self.all())

    @property
    def operations(self) -> int:
        """Operations of torch in the counted iteration."""
        return sum(part.own_operations for part in self.all())


class Measure(Protocol):
    """What is measured between two moments of an iteration."""

    def mark(self) -> Any:
        """This moment. Does not wait for the device."""

    def add(self, part: Part, before: Any, after: Any) -> None:
        """Add what happened between two moments to a part, which ran by itself in between."""


class Recorder:
    """Divides iterations among their parts. A moment belongs to exactly one part, the innermost, so parts add up.

    Attributes:
        root: The iteration.
        is_backward: Whether the backward pass of a step runs.
        annotates: Whether parts are also ranges of torch's profiler.
    """

    def __init__(self) -> None:
        self.root = Part(ITERATION)
        self.is_backward = False
        self.annotates = False
        self._stack = [self.root]
        self._measure: Measure | None = None
        self._last: Any = None

    @contextmanager
    def iteration(self, measure: Measure) -> Iterator[None]:
        """Measure what runs inside."""
        self._measure, self._last = measure, measure.mark()
        try:
            yield
        finally:
            self._mark()
            self._measure = None

    @contextmanager
    def part(self, name: str, path: str = "", place: Place | None = None) -> Iterator[Part]:
        """What runs inside is a part of the part around it."""
        self._mark()
        part = self._stack[-1].part(name, path, place)
        self._stack.append(part)
        try:
            with self._annotation(part):
                yield part
        finally:
            self._mark()
            self._stack.pop()

    @contextmanager
    def backward(self) -> Iterator[None]:
        """A backward pass runs inside, whose parts `enter` divides."""
        with self.part(BACKWARD) as part:
            depth = len(self._stack)
            self.is_backward = True
            try:
                yield
            finally:
                self._mark()
                self.is_backward = False
                del self._stack[depth:]
                assert self._stack[-1] is part

    def enter(self, name: str, path: str, place: Place | None) -> None:
        """The backward pass goes on with the operations of another part. May be called by a thread of autograd."""
        if self.is_backward:
            self._mark()
            part = self._stack[-1]
            outer = part if part.name == BACKWARD else part.parent
            assert outer is not None
            if part is not outer:
                self._stack.pop()
            self._stack.append(outer.part(name, path, place))

    @property
    def current(self) -> Part:
        """The innermost part that runs."""
        return self._stack[-1]

    def _annotation(self, part: Part) -> AbstractContextManager[Any]:
        if not self.annotates:
            return nullcontext()
        return torch.profiler.record_function(part.path if part.path.endswith(part.name) else part.name)

    def _mark(self) -> None:
        if self._measure is not None:
            now = self._measure.mark()
            self._measure.add(self._stack[-1], self._last, now)
            self._last = now
