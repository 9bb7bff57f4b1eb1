"""Reads samples with random numbers of their own, and replaces those that cannot be read."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

from torch.utils.data import get_worker_info

from artschool.data.bad_samples import BadSample, bad_sample, machine_error
from artschool.data.sampler import Position
from artschool.data.samples import DeclaredKeys, Kind, SampleForm, identity, kinds_of
from artschool.data.seeds import Seeding, Seeds, SeedWith
from artschool.errors import ArtschoolError, DataError
from artschool.storage.processes import ended_if_forked

MAX_TRIES = 32
"""Maximum number of samples to try for one position of a batch."""


class ReadSample(NamedTuple):
    """A sample or the error that ends the run, its index, and the bad samples that were tried before it."""

    sample: Any
    number: int
    bad: Sequence[BadSample] = ()


@dataclass(frozen=True)
class SampleKeys:
    """What is known about the keys of samples before any is read.

    Attributes:
        declared: Keys that every sample has, maybe among others.
        optional: Keys that only some samples may have.
    """

    declared: Sequence[str] = ()
    optional: Collection[str] = ()


class SeededDataset:
    """A data set that seeds the random numbers of each sample from (seed, epoch, index).

    A sample that cannot be read, or differs in kind from the first one, is replaced by another one, which these numbers
    also determine.

    Args:
        length: Number of samples.
        keys: The keys of the samples.

    Attributes:
        current: The sample that is being read.
    """

    def __init__(
        self, dataset: Any, name: str, seed: int, length: int, max_bad: int = 0, keys: SampleKeys | None = None
    ) -> None:
        self._dataset = dataset
        self._name = name
        self._length = length
        self._max_bad = max_bad
        self._optional = () if keys is None else keys.optional
        self._declared = DeclaredKeys(() if keys is None else keys.declared)
        self._seeds = Seeds(seed, "samples", name)
        self._seeding = Seeding()
        self._kinds: dict[str, Kind] = {}  # Of the sample that was read last.
        self.current = Position(0, 0)

    def __getitems__(self, batch: Sequence[Position]) -> list[ReadSample]:
        """The samples of a batch. If they are the first that draw from some generators, they are read twice."""
        form = self._form or self._declared
        return self._seeding.watched(lambda seed: [self._read_or_replace(position, form, seed) for position in batch])

    def __len__(self) -> int:
        return self._length

    @cached_property
    def _form(self) -> SampleForm | None:
        """The form of the first sample that can be read. Each worker reads it, so that all agree. None: none can."""
        return self._seeding.watched(self._first_form)

    def _first_form(self, seed: SeedWith) -> SampleForm | None:
        for index in range(min(self._length, MAX_TRIES)):
            seed(self._seeds(0, index))
            sample = self._read(index, 0, self._declared)
            if type(sample) is dict:
                return SampleForm(index, self._kinds, self._optional)
        return None

    def _read_or_replace(self, position: Position, form: SampleForm | DeclaredKeys, seed: SeedWith) -> ReadSample:
        self.current = position
        epoch, index = position
        seed(self._seeds(epoch, index))
        sample = self._read(index, epoch, form)
        return self._replace(position, sample, form, seed) if type(sample) is BadSample else ReadSample(sample, index)

    def _replace(
        self, position: Position, first: BadSample, form: SampleForm | DeclaredKeys, seed: SeedWith
    ) -> ReadSample:
        epoch, index = position
        bad = {index: first}
        for attempt in range(1, MAX_TRIES):
            if len(bad) > self._max_bad:
                break
            number = self._seeds(epoch, position.sample, attempt)
            index = number % self._length
            seed(number)
            sample = self._read(index, epoch, form)
            if type(sample) is not BadSample:
                return ReadSample(sample, index, list(bad.values()))
            bad[index] = sample
        message = f"{self._name}: no replacement for sample {position.sample} could be read in {MAX_TRIES} tries"
        return ReadSample(DataError(message), index, list(bad.values()))

    def _read(
        self, index: int, epoch: int, expected: SampleForm | DeclaredKeys
    ) -> dict[str, Any] | BadSample | ArtschoolError:
        """A sample, or the error that ends the run if the machine caused it."""
        sample = None
        try:
            with ended_if_forked(lambda: f"{self._name}: the code of sample {index}"):
                sample = self._dataset[index]
            self._kinds = kinds_of(sample, expected)
            return sample if type(sample) is dict else dict(sample)
        except BaseException as error:  # Every exception of a data set is reported with the index of the sample.
            if is_of_user(error):
                raise
            return machine_error(self._name, error) or bad_sample(index, epoch, error, identity(sample))


def is_of_user(error: BaseException) -> bool:
    """Whether the user has pressed Ctrl-C. Workers ignore the signal, so that there the code of a sample raised it."""
    return isinstance(error, KeyboardInterrupt) and get_worker_info() is None
