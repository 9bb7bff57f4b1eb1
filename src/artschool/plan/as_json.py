"""A timeline as plain values for JSON. docs/plan.md documents the keys."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from artschool.config.iterations import Iterations
from artschool.config.when import Cycle
from artschool.plan.rates import Group
from artschool.plan.report import Event, Loss, Range, Span, StepTimeline, StreamTimeline, Timeline
from artschool.registry.schedule import Schedule


def as_json(timeline: Timeline, at: Sequence[int] | None = None) -> dict[str, Any]:
    """The whole timeline as dictionaries, lists, text and numbers.

    Args:
        timeline: The timeline.
        at: The iterations for which learning rates are given. None: those at which they change.
    """
    return {
        "name": timeline.name,
        "start_iteration": timeline.start,
        "iterations": timeline.stop,
        "batch_size": timeline.batch_size,
        "samples": timeline.samples,
        "epochs": timeline.epochs(timeline.stop),
        "iterations_per_epoch": timeline.batches.per_epoch if timeline.batches else None,
        "unknown": timeline.unknown or None,
        "streams": {stream.name: _stream(stream) for stream in timeline.streams},
        "steps": {step.name: _step(step, at) for step in timeline.steps},
        "networks": {
            network.name: {
                "updates": _range(network.updates),
                "average": _range(network.average) if network.average else None,
            }
            for network in timeline.networks
        },
        "numbers": {
            number.name: [{"iteration": i, "value": value} for i, value in timeline.values(number, at)]
            for number in timeline.numbers
        },
        "evaluations": {event.name: _event(event) for event in timeline.evaluations},
        "checkpoints": _event(timeline.saves),
        "pictures": _event(timeline.pictures) if timeline.pictures else None,
        "log": _event(timeline.logs),
        "ends_early": timeline.ends_early or None,
        "never": [
            {"place": str(fault.place), "path": fault.path, "message": fault.message} for fault in timeline.warnings
        ],
    }


def _stream(stream: StreamTimeline) -> dict[str, Any]:
    epochs = stream.epochs
    return {
        "batch_size": stream.batch_size,
        "batches": _range(stream.taken),
        "epochs": {"least": epochs[0], "most": epochs[1]} if epochs else None,
        "unknown": stream.unknown or None,
    }


def _step(step: StepTimeline, at: Sequence[int] | None) -> dict[str, Any]:
    return {
        "runs": _iterations(step.runs),
        "trains": _iterations(step.trains),
        "updates": _range(step.updates),
        "condition": step.condition or None,
        "networks": {name: _range(updates) for name, updates in step.networks.items()},
        "losses": {loss.name: _loss(loss) for loss in step.losses},
        "spans": [_span(span) for span in step.spans],
        "rates": [_group(group, step, at) for group in step.groups],
    }


def _loss(loss: Loss) -> dict[str, Any]:
    weight = loss.weight.written if isinstance(loss.weight, Schedule) else loss.weight
    return {"weight": weight, "every": _cycle(loss.every), **_iterations(loss.computed)}


def _span(span: Span) -> dict[str, Any]:
    cycles = [_cycle(cycle) for cycle in span.every]
    return {"first": span.first, "last": span.last, "trains_every": cycles, "losses": list(span.losses)}


def _cycle(cycle: Cycle) -> int | dict[str, int]:
    return {"of": cycle.of, "at": cycle.at} if cycle.at else cycle.of


def _group(group: Group, step: StepTimeline, at: Sequence[int] | None) -> dict[str, Any]:
    rates = step.rates(group, at)
    return {"group": group.name or None, "at": [{"iteration": i, "rate": rate} for i, rate in rates]}


def _event(event: Event) -> dict[str, Any]:
    return {
        "every": _cycle(event.every) if event.every else None,
        "at_end": event.at_end,
        "count": _range(event.count),
        "first": event.points.first,
        "last": event.points.last,
    }


def _iterations(iterations: Iterations) -> dict[str, Any]:
    return {"count": iterations.count(), "first": iterations.first, "last": iterations.last}


def _range(numbers: Range) -> dict[str, int]:
    return {"least": numbers.least, "most": numbers.most}
