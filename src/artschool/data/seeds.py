"""Seeds by counter: every seed depends on its purpose and on counters, never on earlier random numbers."""

from __future__ import annotations

import hashlib
import random
import struct
from collections.abc import Callable, Iterator
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


class _Watched:
    """A global generator that is kept in a known state, which shows whether something draws from it.

    Args:
        seed: Seeds the generator.
        draw: Draws a number. Of so many possible ones that two draws hardly ever give the same.
    """

    def __init__(self, seed: Callable[[int], object], draw: Callable[[], float]) -> None:
        self._seed = partial(seed, 2_718_281_828)
        self._draw = draw
        self._known: list[float] = []
        self._next = 0

    def expect(self) -> None:
        """Begin to watch: bring the generator into a known state, unless it is in one."""
        if self._next + 1 >= len(self._known) or self._draw() != self._known[self._next]:
            self._restart()
        else:
            self._next += 1

    def has_changed(self) -> bool:
        """Whether something has drawn from the generator or seeded it since `expect`."""
        self._next += 1
        return self._draw() != self._known[self._next - 1]

    def _restart(self) -> None:
        self._seed()
        if not self._known:
            self._known = [self._draw() for _ in range(512)]
            self._seed()
        self._next = 0


_PYTHON = _Watched(random.seed, partial(random.getrandbits, 64))
_NUMPY = _Watched(np.random.seed, np.random.random_sample)


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
    state = None if own is None else own.get_state()

    def restore() -> None:
        random.setstate(python)
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
