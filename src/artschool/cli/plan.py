"""`artschool plan`."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from rich.console import Console

from artschool.build.data import train_batches
from artschool.cli.columns import print_columns
from artschool.cli.output import check_output
from artschool.config.streams import TRAIN, streams
from artschool.config.structure import Config
from artschool.config.when import ALL, Cycle
from artschool.data.sampler import Batches
from artschool.errors import ArtschoolError, ConfigError, first_line
from artschool.plan.as_json import as_json
from artschool.plan.rates import Group, Number
from artschool.plan.report import Event, NetworkTimeline, Range, Span, StepTimeline, StreamTimeline, Timeline, shown
from artschool.plan.svg import draw
from artschool.plan.timeline import timeline
from artschool.read.check import in_reading_order
from artschool.read.read import check_file
from artschool.storage.durable import write_file
from artschool.wording.hidden import without_hidden

if TYPE_CHECKING:
    from artschool.cost.forecast import Forecast

Row = tuple[str, str]


def plan_command(
    path: Path,
    overrides: Sequence[str],
    *,
    at: str | None = None,
    as_json_text: bool = False,
    svg: Path | None = None,
    gpu: str | None = None,
    processes: int = 1,
) -> None:
    """Print the timeline of a run, and draw it into a file. With a GPU, also print what the run takes on it."""
    console = Console(highlight=False, stderr=as_json_text)

    def print_line(line: str) -> None:
        console.print(line, soft_wrap=True, markup=False)

    if svg is not None:
        check_output("--svg", svg)
    points = _iterations(at) if at is not None else None
    config = check_file(path, overrides, announce=print_line)
    plan = timeline(config, *_batches(config, TRAIN), others=_others(config))
    found = _forecast(config, gpu, processes) if gpu is not None else None
    for warning in in_reading_order([*config.warnings, *plan.warnings]):
        print_line(f"warning: {warning}")
    if as_json_text:
        click.echo(json.dumps(as_json(plan, points) | _forecast_as_json(found), indent=2))
    else:
        print_columns(console, list(table(plan, points)))
        print_columns(console, _forecast_rows(found))
    if svg is not None:
        write_file(svg, without_hidden(draw(plan)).encode())
        print_line(f"drawing: {svg}")


def _forecast(config: Config, gpu: str, processes: int) -> Forecast:
    from artschool.cost.forecast import forecast  # It imports the engine.

    return forecast(config, gpu, processes)


def _forecast_as_json(found: Forecast | None) -> dict[str, Any]:
    if found is None:
        return {}
    from artschool.cost import report

    return {"forecast": report.as_json(found)}


def _forecast_rows(found: Forecast | None) -> list[Row]:
    if found is None:
        return []
    from artschool.cost import report

    return list(report.rows(found))


def _iterations(text: str) -> list[int]:
    parts = [part.strip() for part in text.split(",")]
    if not all(part.isdecimal() for part in parts):
        raise ConfigError(
            f"--at {text!r}: expected iterations, counted from 0 and separated by commas, such as --at 0,100,600"
        )
    return sorted({int(part) for part in parts})


def _batches(config: Config, stream: str) -> tuple[Batches | None, str]:
    """The batches of a stream in training, or the reason why they are unknown."""
    try:
        return train_batches(config, stream), ""
    except (ArtschoolError, OSError) as error:
        return None, first_line(error)


def _others(config: Config) -> dict[str, tuple[Batches | None, str]]:
    return {name: _batches(config, name) for name in streams(config) if name != TRAIN}


def table(plan: Timeline, at: Sequence[int] | None = None) -> Iterator[Row]:
    """The rows of a timeline, in the order of the file."""
    yield plan.name, plan.summary
    if plan.ends_early:
        yield "  ends", plan.ends_early
    for stream in plan.streams:
        yield f"data {stream.name}", _passes(stream)
    for step in plan.steps:
        yield f"step {step.name}", _trained(step)
        for span in step.spans:
            yield f"  {_from_to(span.first, span.last)}", _span(span, step)
        yield from (("  rate", text) for group in step.groups if (text := _rates(group, step, at)))
        yield from ((f"  {name}", _values(number, plan, at)) for name, number in _numbers_of(step, plan))
    for network in plan.networks:
        yield f"network {network.name}", _moved(network)
    yield from ((number.name, _values(number, plan, at)) for number in _other_numbers(plan))
    for event in plan.evaluations:
        yield f"evaluate {event.name}", _event(event)
    yield "checkpoints", _event(plan.saves)
    if plan.pictures:
        yield "pictures", _event(plan.pictures)
    yield "log", _event(plan.logs)


def _numbers_of(step: StepTimeline, plan: Timeline) -> Iterator[tuple[str, Number]]:
    """The scheduled numbers of a step, by their names within the step."""
    for number in plan.numbers:
        if number.name.startswith(f"{step.name}/"):
            yield number.name.removeprefix(f"{step.name}/"), number


def _other_numbers(plan: Timeline) -> list[Number]:
    """The scheduled numbers that belong to no step."""
    steps = {step.name for step in plan.steps}
    return [number for number in plan.numbers if number.name.partition("/")[0] not in steps]


def _passes(stream: StreamTimeline) -> str:
    samples = f"{stream.batch_size} sample{_s(stream.batch_size)}"
    given = f"{stream.taken} batch{'es' if stream.taken.most != 1 else ''} of {samples}"
    if stream.epochs is None:
        return f"{given}; epochs unknown: {stream.unknown}"
    least, most = map(shown, stream.epochs)
    return f"{given}; {most if least == most else f'{least} to {most}'} epoch{_s(stream.epochs[1])}"


def _trained(step: StepTimeline) -> str:
    if not step.runs:
        return "never runs"
    if not step.groups:
        count = step.runs.count()
        return f"runs {_times(Range(count, count))}, without an optimizer"
    condition = f", {step.condition}" if step.condition else ""
    if len({step.updates, *step.networks.values()}) > 1:
        return f"updates {', '.join(f'{name} {_times(updates)}' for name, updates in step.networks.items())}{condition}"
    return f"updates {', '.join(step.networks)} {_times(step.updates)}{condition}"


def _span(span: Span, step: StepTimeline) -> str:
    losses = [
        f"{loss.name} {loss.weight_text}" + (f" every {loss.every}" if loss.every.of > 1 else "")
        for loss in step.losses
        if loss.name in span.losses
    ]
    how = [] if span.every == (ALL,) else [_every(span.every)]
    return "; ".join([*how, ", ".join(losses) or "no loss"])


def _every(cycles: Iterable[Cycle]) -> str:
    numbers = " or ".join(map(str, cycles))
    return f"trains every {numbers}" if numbers else "runs without training"


def _rates(group: Group, step: StepTimeline, at: Sequence[int] | None) -> str:
    rates = step.rates(group, at)
    texts = (f"{'none' if rate is None else f'{rate:.4g}'} at {i:,}" for i, rate in rates)
    until = f"; less when {' or '.join(group.follows)} stops improving" if group.follows else ""
    return (f"of {group.name}: " if group.name else "") + ", ".join(texts) + until if rates else ""


def _values(number: Number, plan: Timeline, at: Sequence[int] | None) -> str:
    return ", ".join(f"{value:.4g} at {i:,}" for i, value in plan.values(number, at))


def _moved(network: NetworkTimeline) -> str:
    if not network.updates.most:
        return "not trained"
    averaged = f", averaged {_times(network.average)}" if network.average else ""
    return f"{network.updates} update{_s(network.updates.most)}{averaged}"


def _event(event: Event) -> str:
    every = f", every {event.every}" if event.every else ""
    end = (" and at the end" if event.every else ", at the end") if event.at_end else ""
    return f"{_times(event.count)}{every}{end}"


def _from_to(first: int, last: int) -> str:
    return f"{first:,} to {last:,}" if last > first else f"{first:,}"


def _times(number: Range) -> str:
    return f"{number} time{_s(number.most)}"


def _s(number: float) -> str:
    return "" if number == 1 else "s"
