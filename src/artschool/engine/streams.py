"""The streams of a run: data sets that give training one batch after another."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Mapping, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass, field
from functools import partial
from typing import Any, NamedTuple

import torch

from artschool import ranks
from artschool.config.streams import key_in
from artschool.data.loader import Loader
from artschool.data.sampler import Batches, Position, RankSampler
from artschool.data.seeds import kept_rng
from artschool.engine.signals import interruptible


class Part(NamedTuple):
    """The part of a batch that this process has, by the names of its keys in steps.

    Attributes:
        total: Number of samples in the whole batch, over all processes.
        samples: Returns the epoch and the index of each sample that this process has, before unreadable ones were
            replaced.
    """

    values: Mapping[str, Any]
    total: int
    samples: Callable[[], Sequence[Position]] = tuple


@dataclass
class Stream:
    """A data set that feeds training.

    Attributes:
        name: The entry of `data`.
        given: Number of batches that training has taken, which is the position in the data.
    """

    name: str
    loader: Loader
    batches: Batches
    given: int = 0

    def load(self, start: int, stop: int | None, device: torch.device) -> Generator[dict[str, Any]]:
        """The part of this process of the batches `start` to `stop` (exclusive). None: without end."""
        return self.loader.load(RankSampler(self.batches, start, stop, ranks.rank(), ranks.world_size()), device)

    def part(self, batch: Mapping[str, Any]) -> Part:
        """The next batch, of which this process has `batch`."""
        return Part(self.named(batch), self.batches.size(self.given), partial(self._samples, self.given))

    def _samples(self, number: int) -> list[Position]:
        sampler = RankSampler(self.batches, number, number + 1, ranks.rank(), ranks.world_size())
        return next(iter(sampler))

    def named(self, batch: Mapping[str, Any]) -> dict[str, Any]:
        """A batch by the names that its keys have in steps."""
        return {key_in(self.name, key): value for key, value in batch.items()}


@dataclass
class Streams:
    """All streams of a run. `train` is one of them.

    Attributes:
        by_name: The streams by name.
        fed: Those of which each iteration takes a batch.
        taken: Those of which steps take batches for themselves, whose number only the run decides.
        see: Called with the name of a stream and each of its batches. None: nothing looks.
    """

    by_name: Mapping[str, Stream]
    fed: Sequence[str]
    taken: Sequence[str] = ()
    see: Callable[[str, Mapping[str, Any]], None] | None = None
    _open: dict[str, Generator[dict[str, Any]]] = field(default_factory=dict, init=False, repr=False)

    def iterations(self, number: int, device: torch.device) -> Generator[dict[str, Part]]:
        """The batches of the next iterations, by stream. `take` works until the generator is closed."""
        with ExitStack() as stack:
            for name, stream in self.by_name.items():
                stop = None if name in self.taken else stream.given + number
                self._open[name] = stack.enter_context(closing(stream.load(stream.given, stop, device)))
            for _ in range(number):
                with interruptible():
                    loaded = self._load(self.fed)
                yield self._parts(loaded)

    def take(self, names: Iterable[str]) -> dict[str, Part]:
        """Fresh batches inside an iteration, whose random numbers stay what they are."""
        with kept_rng():
            return self._parts(self._load(names))

    def _load(self, names: Iterable[str]) -> dict[str, dict[str, Any]]:
        return {name: next(self._open[name]) for name in names}

    def _parts(self, loaded: Mapping[str, Mapping[str, Any]]) -> dict[str, Part]:
        if self.see is not None:
            for name, batch in loaded.items():
                self.see(name, batch)
        parts = {name: self.by_name[name].part(batch) for name, batch in loaded.items()}
        for name in parts:  # Only now: if one cannot be read, a checkpoint has the position before all of them.
            self.by_name[name].given += 1
        return parts

    @property
    def given(self) -> dict[str, int]:
        """The position of each stream."""
        return {name: stream.given for name, stream in self.by_name.items()}

    def go_to(self, given: Mapping[str, int]) -> None:
        """Continue at other positions. A stream without one begins."""
        for name, stream in self.by_name.items():
            stream.given = given.get(name, 0)
