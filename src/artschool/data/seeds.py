"""Seeds by counter: every seed depends on its purpose and on counters, never on earlier random numbers."""

from __future__ import annotations

import hashlib
import random
import struct
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import TypeVar

import numpy as np
import torch

Result = TypeVar("Result")
SeedWith = Callable[[int], object]
"""Seeds generators."""


def derive(*parts: int | str) -> int:
    """A seed in 0..2**63-1 that depends only on the parts. The same on every machine."""
    text = "\0".join(f"{type(part).__name__}:{part}" for part in parts)
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "little") >> 1


_PACK = [struct.Struct(f"<{count}q").pack for count in range(5)]
"""By the number of numbers: to read the format each time would take as long as to hash."""


class Seeds:
    """Seeds for many counters of one purpose. Faster than `derive`, because the parts are hashed once."""

    def __init__(self, *parts: int | str) -> None:
        self._parts = parts
        self._start = hashlib.blake2b(derive(*parts).to_bytes(8, "little"), digest_size=8)

    def __reduce__(self) -> tuple[type[Seeds], tuple[int | str, ...]]:
        return type(self), self._parts  # Workers that are not forked get a copy, and a hash cannot be pickled.

    def __call__(self, *numbers: int) -> int:
        """A seed in 0..2**63-1 that depends only on the parts and up to four numbers."""
        hashed = self._start.copy()
        hashed.update(_PACK[len(numbers)](*numbers))
        return int.from_bytes(hashed.digest(), "little") >> 1


def seed_all(seed: int, device: torch.device | None = None) -> None:
    """Seed the generators of Python, NumPy, torch on the CPU, and torch on `device`."""
    random.seed(seed)
    np.random.seed(seed & 0xFFFFFFFF)
    seed_torch(seed, device)


def seed_torch(seed: int, device: torch.device | None = None) -> None:
    """Seed the generators of torch on the CPU and on `device`."""
    torch.default_generator.manual_seed(seed)
    if device is not None and device.type != "cpu":
        device_generator(device).manual_seed(seed)


class Seeding:
    """Seeds the random numbers of many short pieces of work.

    To seed the generators of Python and NumPy takes longer than to read a small sample. They are left in a known state
    until some work draws from one of them. That work is done again, with all generators seeded, as is all later work.
    """

    def __init__(self) -> None:
        self._draws = False

    def watched(self, work: Callable[[SeedWith], Result]) -> Result:
        """The result of work, which calls the given function with the seed of each piece, as it would `seed_all`.

        What the work raises is raised at once.
        """
        if not self._draws:
            _PYTHON.expect()
            _NUMPY.expect()
            result = work(torch.default_generator.manual_seed)
            python, numpy = _PYTHON.has_changed(), _NUMPY.has_changed()
            if not (python or numpy):
                return result
            self._draws = True
        return work(seed_all)


class IterationSeeding:
    """Seeds the generators before each iteration: those of Python and NumPy only if iterations draw from them.

    Seeding these two takes longer than any other work around an iteration. Unlike the reading of samples, an iteration
    cannot be repeated once it has drawn. So the first iteration is seeded. While none has drawn, each iteration begins
    in a state that depends on its number alone. After the first draw, every iteration is seeded.

    Args:
        seed: The seed of the run.
        rank: That of this process.

    Attributes:
        draws: Whether an iteration has drawn from the generators of Python or NumPy. None: none has ended yet.
    """

    def __init__(self, seed: int, rank: int, device: torch.device) -> None:
        self.draws: bool | None = None
        self._seeds, self._rank, self._device = Seeds(seed, "iteration"), rank, device
        self._seed = 0

    def begin(self, number: int) -> None:
        """Seed for an iteration, which begins now."""
        self._seed = self._seeds(number, self._rank)
        if self.draws is not False:
            seed_all(self._seed, self._device)
            return
        seed_torch(self._seed, self._device)
        position = 1 + number % _PLACES * _DRAWS_OF_AN_ITERATION
        _PYTHON.go_to(position)
        _NUMPY.go_to(position)

    def end(self) -> None:
        """Notice whether the iteration has drawn."""
        if self.draws is False:
            self.draws = _PYTHON.has_changed() or _NUMPY.has_changed()
        elif self.draws is None:
            python, numpy = random.Random(self._seed), np.random.RandomState(self._seed & 0xFFFFFFFF)
            self.draws = (
                random.getrandbits(64) != python.getrandbits(64) or np.random.random_sample() != numpy.random_sample()
            )


class _Watched:
    """A global generator that is kept in a known state, which shows whether something draws from it.

    Args:
        seed: Seeds the generator.
        draw: Draws a number. Of so many possible ones that two draws hardly ever give the same.
        known: The first numbers after `seed`.

    Attributes:
        position: The number of draws since `seed`, unless something else has drawn.
    """

    def __init__(self, seed: Callable[[], object], draw: Callable[[], float], known: Sequence[float]) -> None:
        self._seed = seed
        self._draw = draw
        self._known = known
        self.position = len(known)

    def expect(self) -> None:
        """Begin to watch: bring the generator into a known state."""
        self.go_to(self.position + 1 if self.position + 1 < len(self._known) else 1)

    def go_to(self, position: int) -> None:
        """Bring the generator into the known state after so many draws, from 1 to less than there are known ones."""
        number = None
        for _ in range(self.position, position):
            number = self._draw()
        if number != self._known[position - 1]:
            self._seed()
            for _ in range(position):
                self._draw()
        self.position = position

    def has_changed(self) -> bool:
        """Whether something has drawn from the generator or seeded it since `expect` or `go_to`."""
        self.position += 1
        return self._draw() != self._known[self.position - 1]


_SEED = 2_718_281_828
_PLACES = 8
"""Number of states in which an iteration may begin while none has drawn."""
_DRAWS_OF_AN_ITERATION = 8
"""Number of draws between two of these states. Watching an iteration and its samples takes fewer in most runs."""
_PYTHON = _Watched(
    partial(random.seed, _SEED),
    partial(random.getrandbits, 64),
    list(map(random.Random(_SEED).getrandbits, [64] * 512)),
)
_NUMPY = _Watched(
    partial(np.random.seed, _SEED), np.random.random_sample, np.random.RandomState(_SEED).random_sample(512).tolist()
)


def device_generator(device: torch.device) -> torch.Generator:
    """The default generator of a device."""
    if device.type == "cuda":
        return torch.cuda.default_generators[device.index or 0]
    if device.type == "mps":
        return torch.mps._get_default_mps_generator()  # no public name
    return torch.default_generator


def rng_state(device: torch.device | None = None) -> Callable[[], None]:
    """A function that restores what the generators of Python, NumPy, torch on the CPU and on `device` are now."""
    own = None if device is None or device.type == "cpu" else device_generator(device)
    python, numpy, cpu = random.getstate(), np.random.get_state(), torch.get_rng_state()
    positions = _PYTHON.position, _NUMPY.position
    state = None if own is None else own.get_state()

    def restore() -> None:
        random.setstate(python)
        _PYTHON.position, _NUMPY.position = positions
        np.random.set_state(numpy)
        torch.set_rng_state(cpu)
        if own is not None and state is not None:
            own.set_state(state)

    return restore


@contextmanager
def kept_rng(device: torch.device | None = None) -> Iterator[None]:
    """Restore the state of the generators of Python, NumPy, torch on the CPU, and torch on `device` afterwards."""
    restore = rng_state(device)
    try:
        yield
    finally:
        restore()


@contextmanager
def forked_rng(seed: int, device: torch.device) -> Iterator[None]:
    """Seed all generators inside the context, and restore their state afterwards."""
    with kept_rng(device):
        seed_all(seed, device)
        yield
