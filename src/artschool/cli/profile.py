"""`artschool profile`."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Sequence
from contextlib import redirect_stdout
from pathlib import Path

import click
from rich.console import Console

from artschool import ranks
from artschool.cli.columns import print_columns
from artschool.cli.output import check_output
from artschool.engine.ending import ending_together
from artschool.engine.room import in_bytes
from artschool.engine.signals import interrupting
from artschool.profiling.parts import Part
from artschool.profiling.profile import profile
from artschool.profiling.report import Profile
from artschool.read.read import check_file

Row = tuple[str, ...]
OTHER = "other"


def profile_command(
    path: Path, overrides: Sequence[str], *, iterations: int, warmup: int, trace: Path | None, as_json: bool
) -> None:
    """Measure the parts of a file's iterations. Print them and what could be changed."""
    console = Console(highlight=False, stderr=True)

    def note(line: str) -> None:
        if ranks.is_main():
            console.print(line, soft_wrap=True, markup=False)

    if trace is not None:
        check_output("--trace", trace)
    with ending_together():
        # Networks and data sets may print; standard output is for the results.
        with interrupting(), redirect_stdout(sys.stderr):
            config = check_file(path, overrides, announce=note)
            for warning in config.warnings:
                note(f"warning: {warning}")
            result = profile(config, iterations=iterations, warmup=warmup, trace=trace, note=note)
        ranks.wait()
        if ranks.is_main():
            _print(result, trace, as_json=as_json)


def _print(result: Profile, trace: Path | None, *, as_json: bool) -> None:
    if as_json:
        click.echo(json.dumps(result.as_json(), indent=2))
        return
    console = Console(highlight=False)
    print_columns(console, list(table(result)))
    lines = [*summary(result), *([f"trace: {trace}"] if trace is not None else [])]
    for line in (*lines, *(f"hint: {hint}" for hint in result.hints)):
        console.print(line, soft_wrap=True, markup=False)


def table(result: Profile) -> Iterator[Row]:
    """The rows of a profile: name, location, milliseconds, share, largest memory and FLOPs of each part."""
    rows = [("", "", "ms", "%", "GFLOP", "peak memory"), *_rows(result.root, result, 0)]
    widths = [max(len(row[column]) for row in rows) for column in (2, 3, 4)]
    for name, place, *numbers, memory in rows:
        aligned = [number.rjust(width) for number, width in zip(numbers, widths, strict=True)]
        yield name, place, *aligned, memory


def _rows(part: Part, result: Profile, depth: int) -> Iterator[Row]:
    yield _row(part.name, part, result, depth, part.seconds, part.flops, part.peak)
    for inner in part.parts.values():
        yield from _rows(inner, result, depth + 1)
    if part.parts:
        yield _row(OTHER, None, result, depth + 1, part.own_seconds, part.own_flops, 0)


def _row(name: str, part: Part | None, result: Profile, depth: int, seconds: float, flops: int, peak: int) -> Row:
    place = part.place if part is not None else None
    return (
        f"{'  ' * depth}{name}",
        f"{Path(place.source).name}:{place.line}" if place is not None and place.line else "",
        f"{1000 * seconds / result.iterations:.2f}",
        f"{100 * seconds / result.root.seconds if result.root.seconds else 0:.1f}",
        f"{flops / 1e9:.3g}" if flops else "",
        in_bytes(peak) if peak else "",
    )


def summary(result: Profile) -> Iterator[str]:
    """What was measured, in some lines."""
    last = result.first + result.iterations - 1
    span = f"{1000 * min(result.durations):.2f} to {1000 * max(result.durations):.2f} ms"
    yield (
        f"{result.machine.name}: iterations {result.first:,} to {last:,} after {result.warmup:,} of warm-up, "
        f"{span} each; evaluations and checkpoints are left out"
    )
    if result.num_processes > 1:
        yield f"{result.num_processes} processes; the numbers are those of the first one"
    for name in result.inactive:
        start = result.config.steps[name].section.after
        yield f"step {name} does not run in these iterations; train.start_iteration={start} profiles later ones"
    if result.machine.peak_flops and result.root.flops:
        share = "more than the device reaches: a gate changes the counted iteration, or the machine was busy"
        if result.utilization is not None:
            share = f"a utilization of {result.utilization:.1%}"
        yield (
            f"{result.flops_per_second / 1e9:,.3g} GFLOP per second, {share} "
            f"({result.machine.peak_flops / 1e9:,.4g} GFLOP per second {result.machine.source})"
        )
