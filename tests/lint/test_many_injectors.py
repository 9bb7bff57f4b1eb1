"""The check of a file takes time that grows with its length, and no faster."""

from __future__ import annotations

import sys
from pathlib import Path
from types import FrameType

from artschool.config.compose import finish
from artschool.config.source import read_text
from artschool.lint import Subject, lint
from artschool.read.check import check_tree

TEXT = """
name: long
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


def calls_to_check(injectors: int) -> int:
    """The number of calls of Python functions in which a file is read, checked and linted."""
    chain = [
        f"      call{n}: {{type: forward, network: net, in: key{n}, out: key{(n + 1) % injectors}}}\n"
        for n in range(1, injectors)
    ]
    count = 0

    def profile(frame: FrameType, event: str, _: object) -> None:
        nonlocal count
        count += event == "call"

    sys.setprofile(profile)
    try:
        warnings = [*lint(Subject(check_tree(finish(read_text(TEXT + "".join(chain), "long.yml"), Path("long.yml")))))]
    finally:
        sys.setprofile(None)
    assert not warnings
    return count


def test_twice_the_injectors_take_twice_the_calls() -> None:
    calls_to_check(2)  # Loads the components.
    few, many = calls_to_check(60), calls_to_check(120)
    assert many < 2.1 * few
