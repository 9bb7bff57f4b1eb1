"""How many of random mistakes the check refuses, how many are harmless, and which slip through.

    python benchmarks/mutants.py [NUMBER] [SEED]

Draws changes of the sound files in `tests/mutants` and prints the two rates, and each hole with its file.
"""

from __future__ import annotations

import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

from hypothesis import given, seed, settings

sys.path.insert(0, str(Path(__file__).parents[1]))

from tests.mutants.mechanisms import MECHANISMS  # found by the line above
from tests.mutants.mutations import DRAWING, OPERATORS, Mutant, link_plugins, mutants
from tests.mutants.verdict import Verdict, judge


def drawn(number: int, start: int, folder: Path) -> dict[Mutant, Verdict]:
    """So many mutants and what becomes of them; those that are drawn twice count once."""
    found: dict[Mutant, Verdict] = {}

    @seed(start)
    @settings(DRAWING, max_examples=number)
    @given(mutants((*OPERATORS, *MECHANISMS)))
    def draw(mutant: Mutant) -> None:
        if mutant not in found:
            found[mutant] = judge(mutant.text, folder)
            if found[mutant].kind == "hole":
                print(f"HOLE {mutant}\n    {found[mutant].says}", flush=True)

    draw()
    return found


def main() -> None:
    """Draw, and print."""
    number, start = (int(argument) for argument in (*sys.argv[1:], *("300", "0")[len(sys.argv) - 1 :]))
    begun = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        link_plugins(Path(folder))
        found = drawn(number, start, Path(folder))
    kinds = Counter(verdict.kind for verdict in found.values())
    whole = len(found)
    print(f"{whole} mutants in {time.monotonic() - begun:.0f} s, seed {start}")
    print(f"refused {(kinds['refused'] + kinds['traced']) / whole:6.1%}: ", end="")
    print(f"{kinds['refused']} by what the file says, {kinds['traced']} by the trace")
    print(f"asked   {kinds['linted'] / whole:6.1%}: the linter asks why parameters stay or values are cut off")
    print(f"trained {kinds['trained'] / whole:6.1%}: ten iterations, and every trained parameter moved")
    print(f"holes   {kinds['hole'] / whole:6.1%}: {kinds['hole']}")


if __name__ == "__main__":
    main()
