"""A check takes time in proportion to the file."""

from __future__ import annotations

from cProfile import Profile
from pathlib import Path
from pstats import Stats

from artschool.lint.findings import lint
from artschool.lint.subject import Subject
from artschool.read.read import check_file


def number_of_calls(count: int, folder: Path) -> int:
    """The function calls of a check and a lint of a step with `count` injectors in a chain."""
    chain = "\n".join(f"      i{i}: {{type: alias, in: k{i}, out: k{i + 1}}}" for i in range(count))
    file = folder / f"{count}.yml"
    file.write_text(f"""
name: chain
data: {{train: {{type: sklearn_digits, batch_size: 2}}}}
networks: {{net: {{type: edsr, scale: 1, in_channels: 1, out_channels: 1, width: 4, blocks: 1}}}}
steps:
  net:
    trains: net
    optimizer: {{type: adamw, lr: 1e-3}}
    injectors:
      f: {{type: forward, network: net, in: image, out: k0}}
{chain}
    losses: {{l1: {{type: l1, in: [k{count}, image], weight: 1.0}}}}
train: {{iterations: 5}}
""")
    with Profile() as profile:
        lint(Subject(check_file(file, ())))
    return int(Stats(profile).total_calls)  # type: ignore[attr-defined]


def test_a_check_makes_as_many_calls_for_each_further_injector(tmp_path: Path) -> None:
    number_of_calls(10, tmp_path)  # Imports.
    few, more, most = (number_of_calls(count, tmp_path) for count in (50, 100, 150))
    assert most - more < 1.05 * (more - few)
