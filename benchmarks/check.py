"""CPU seconds of `artschool check` for files with more and more injectors.

    python benchmarks/check.py [--injectors 10 100 1000 3000]

Each file is a chain: an injector reads what the one before it writes. The times contain the start of Python and the
imports.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
from pathlib import Path

TEXT = """
name: chain
data: {train: {type: sklearn_digits, batch_size: 4}}
networks: {net: {type: edsr, scale: 1, width: 4, blocks: 1, in_channels: 1, out_channels: 1}}
train: {iterations: 10}
steps:
  main:
    trains: net
    optimizer: {type: adamw, lr: 1e-3}
    losses: {pixel: {type: l1, in: [key0, image], weight: 1.0}}
    injectors:
      call0: {type: forward, network: net, in: image, out: key1}
"""


def chain(injectors: int) -> str:
    """A file with many injectors, each of which reads what the one before it writes."""
    return TEXT + "".join(
        f"      call{number}: {{type: forward, network: net, in: key{number}, out: key{(number + 1) % injectors}}}\n"
        for number in range(1, injectors)
    )


def seconds_to_check(injectors: int) -> float:
    """CPU seconds of the check of a file."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "chain.yml"
        file.write_text(chain(injectors))
        before = os.times()
        subprocess.run([sys.executable, "-m", "artschool", "check", str(file)], check=True, stdout=subprocess.DEVNULL)
        after = os.times()
    return after.children_user + after.children_system - before.children_user - before.children_system


def main() -> None:
    """Print a line for each file."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--injectors", type=int, nargs="*", default=[10, 100, 1000, 3000])
    for injectors in parser.parse_args().injectors:
        print(f"{injectors} injectors: {seconds_to_check(injectors):.1f} s")


if __name__ == "__main__":
    main()
