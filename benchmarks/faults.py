"""An hour of faults at random over a run of two processes: how often each is tried, and how often something is lost.

    python benchmarks/faults.py [MINUTES] [SEED]

Each try starts a run, lets one fault strike it at a random iteration, and runs the same command again until the run has
finished. Its weights, optimizers, averages and log must then be those of a run that nothing struck, bit by bit.
"""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from tests.faults.faults import table  # found by the line above


def main() -> int:
    """Try, and print the table. The exit code is 1 if a try failed."""
    minutes, seed = (float(argument) for argument in (*sys.argv[1:], *("60", "0")[len(sys.argv) - 1 :]))
    counts = table(minutes, int(seed), lambda line: print(line, flush=True))
    print(f"{'fault':34} tries failures")
    for name, (tries, failures) in counts.items():
        print(f"{name:34} {tries:5} {failures:8}")
    tries, failures = (sum(count[place] for count in counts.values()) for place in (0, 1))
    print(f"{'all':34} {tries:5} {failures:8}")
    return int(failures > 0)


if __name__ == "__main__":
    sys.exit(main())
