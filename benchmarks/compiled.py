"""What `compile` gains: one recipe, eagerly and compiled, in turns. Prints seconds per iteration and their ratio.

    python benchmarks/compiled.py [--recipe recipes/photo_sr.yml] [--iterations 60] [--rounds 2] [OVERRIDE ...]

The first 20 iterations, in which networks are compiled and proven, are not counted.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

from torch import Tensor

import artschool
from artschool.engine.logger import Record
from artschool.engine.run_state import RunState

WARM_UP = 20


class Clock:
    """A logger that takes the time after each iteration."""

    def __init__(self) -> None:
        self.times: list[float] = []

    def start(self, run: RunState) -> None:
        """Nothing."""

    def advance(self, run: RunState) -> None:
        """Take the time."""
        self.times.append(time.perf_counter())

    def log(self, record: Record) -> None:
        """Nothing."""

    def picture(self, key: str, iteration: int, values: Tensor) -> None:
        """Nothing."""

    def note(self, message: str) -> None:
        """Print."""
        print(message)

    def close(self) -> None:
        """Nothing."""


def seconds_per_iteration(recipe: str, overrides: Sequence[str]) -> float:
    """The median over the iterations after the warm-up."""
    with tempfile.TemporaryDirectory() as folder:
        run = artschool.load(recipe, overrides, run_dir=Path(folder) / "run")
        run.loggers = [clock := Clock()]
        run.train()
    times = clock.times[WARM_UP:]
    return statistics.median(after - before for before, after in pairwise(times))


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--recipe", default="recipes/photo_sr.yml")
    parser.add_argument("--iterations", type=int, default=60)
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("overrides", nargs="*")
    given = parser.parse_args()
    overrides = [f"train.iterations={given.iterations}", *given.overrides]
    found: dict[str, list[float]] = {"false": [], "true": []}
    for _ in range(given.rounds):
        for compiled, seconds in found.items():
            seconds.append(seconds_per_iteration(given.recipe, [f"train.compile={compiled}", *overrides]))
    eager, compiled_seconds = min(found["false"]), min(found["true"])
    print(f"eager {1000 * eager:.1f} ms, compiled {1000 * compiled_seconds:.1f} ms an iteration")
    print(f"compiled / eager {compiled_seconds / eager:.2f}")


if __name__ == "__main__":
    main()
