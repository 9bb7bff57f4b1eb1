"""A forecast as rows for the console, and as plain values for JSON. docs/plan.md documents both."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from artschool.cost.forecast import USABLE, Forecast, memory_by_kind
from artschool.cost.hardware import GB
from artschool.cost.model import (
    OF_BANDWIDTH,
    OF_LINK,
    OF_PEAK,
    SECONDS_PER_MESSAGE,
    SECONDS_PER_OPERATION,
    Seconds,
)
from artschool.engine.room import in_bytes

Row = tuple[str, str]


def rows(found: Forecast) -> Iterator[Row]:
    """What a forecast says, in rows of a name and a text."""
    measured = found.measured
    yield "gpu", _machine(found)
    verdict = "fits" if found.fits else "does not fit"
    yield "memory", f"{in_bytes(found.memory)} at the peak; {verdict} into {in_bytes(found.usable)} usable"
    yield from ((f"  {kind}", in_bytes(size)) for kind, size in memory_by_kind(measured.memory).items())
    if measured.memory.offloaded:
        yield "cpu memory", f"{in_bytes(measured.memory.offloaded)} of optimizer state and averages, for each process"
    yield "largest batch", _largest_batch(found)
    kept = in_bytes(measured.checkpoint * measured.kept)
    yield "checkpoint", f"{in_bytes(measured.checkpoint)} per save, {kept} kept"
    yield "flops", f"{_count(found.flops, 'FLOP')} per iteration and GPU"
    if measured.processes > 1:
        yield "exchange", _exchange(found)
    yield "time", f"{_time(found.typical.total)} per iteration, {_percent(found.typical.utilization)} of peak FLOP/s"
    yield from ((f"  {name}", _seconds(seconds)) for name, seconds in found.steps.items())
    if len(found.regimes) > 1:
        yield from ((f"  from {first:,}", _seconds(seconds)) for first, seconds in found.regimes.items())
    yield "run", _run(found)
    yield "limited by", _limits(found.typical)
    yield "model", f"{_model()}{'; without compilation, which saves operations' if found.compiled else ''}"


def as_json(found: Forecast) -> dict[str, Any]:
    """A forecast as dictionaries, lists, text and numbers: bytes, seconds, FLOPs."""
    measured = found.measured
    return {
        "gpu": found.gpu.name,
        "ranks": measured.processes,
        "micro_batch": measured.samples,
        "memory": {
            "peak": found.memory,
            "usable": found.usable,
            "fits": found.fits,
            "kinds": dict(memory_by_kind(measured.memory)),
            "steps": {name: kinds.total() for name, kinds in measured.memory.steps.items()},
            "offloaded": measured.memory.offloaded,
        },
        "batch": {"size": found.batch, "largest": found.largest_batch, "measured": list(found.measured_samples)},
        "checkpoint": {"bytes": measured.checkpoint, "kept": measured.kept},
        "flops": found.flops,
        "exchange": {
            "kinds": dict(found.exchanged),
            "hideable": found.hideable,
            "hidden_seconds": found.typical.hidden,
        },
        "time": _time_as_json(found.typical),
        "steps": {name: _time_as_json(seconds) for name, seconds in found.steps.items()},
        "regimes": [
            {"first": first, "iterations": measured.regimes[first], **_time_as_json(seconds)}
            for first, seconds in found.regimes.items()
        ],
        "run": {"iterations": _iterations(found), "seconds": _iterations(found) * found.typical.total},
        "model": {
            "of_peak": OF_PEAK,
            "of_bandwidth": OF_BANDWIDTH,
            "of_link": OF_LINK,
            "of_memory": USABLE,
            "seconds_per_operation": SECONDS_PER_OPERATION,
            "seconds_per_message": SECONDS_PER_MESSAGE,
        },
    }


def _time_as_json(seconds: Seconds) -> dict[str, Any]:
    return {"seconds": seconds.total, "parts": dict(seconds.parts), "utilization": seconds.utilization}


def _machine(found: Forecast) -> str:
    gpu, measured = found.gpu, found.measured
    nodes = -(-measured.processes // gpu.per_node)
    where = f" in {nodes:,} nodes" if nodes > 1 else ""
    parts = f", in {measured.parts} parts" if measured.parts > 1 else ""
    each = f"{measured.samples * measured.parts:,} of {found.batch:,} sample{_s(found.batch)} each{parts}"
    return f"{measured.processes:,} {gpu.name}{where} with {gpu.memory / GB:g} GB; {each}"


def _largest_batch(found: Forecast) -> str:
    one, two = found.measured_samples
    if found.largest_batch is None:
        return "any: memory does not grow with the batch"
    how = f"by a line through micro-batches of {one:,} and {two:,} samples"
    return f"{found.largest_batch:,} samples, {how}" if found.largest_batch else f"none fits, {how}"


def _exchange(found: Forecast) -> str:
    kinds = ", ".join(f"{in_bytes(size)} {kind}" for kind, size in found.exchanged.items())
    total, hidden = sum(found.exchanged.values()), found.typical.hidden
    sent = f"{in_bytes(total)} sent per iteration and GPU" + (f" ({kinds})" if kinds else "")
    return f"{sent}; {in_bytes(found.hideable)} can hide behind operations, which saves {_time(hidden)}"


def _iterations(found: Forecast) -> int:
    return sum(found.measured.regimes.values())


def _run(found: Forecast) -> str:
    """The time of all iterations, and of all GPUs together."""
    seconds, left_out = _iterations(found) * found.typical.total, "evaluations, saves and waits for data not included"
    hours = seconds / 3600 * found.measured.processes
    return f"{_time(seconds)} for {_iterations(found):,} iterations, {hours:.3g} GPU hours; {left_out}"


def _seconds(seconds: Seconds) -> str:
    return f"{_time(seconds.total)}, {seconds.bottleneck}" if seconds.total else "nothing"


def _limits(seconds: Seconds) -> str:
    shares = sorted(((value / seconds.total, part) for part, value in seconds.parts.items() if value), reverse=True)
    return ", ".join(f"{part} {_percent(share)}" for share, part in shares)


def _model() -> str:
    return (
        f"matrix products at {_percent(OF_PEAK)} of peak, memory at {_percent(OF_BANDWIDTH)} of bandwidth, "
        f"{_time(SECONDS_PER_OPERATION)} per operation; links at {_percent(OF_LINK)}, "
        f"{_time(SECONDS_PER_MESSAGE)} per message"
    )


def _percent(share: float) -> str:
    return f"{100 * share:.2g} %" if share < 1 else "100 %"


def _time(seconds: float) -> str:
    for unit, scale in (("h", 3600.0), ("s", 1.0), ("ms", 1e-3)):
        if seconds >= scale:
            return f"{seconds / scale:.3g} {unit}"
    return f"{seconds * 1e6:.3g} us"


def _count(number: float, unit: str) -> str:
    for prefix, scale in (("P", 1e15), ("T", 1e12), ("G", 1e9), ("M", 1e6)):
        if number >= scale:
            return f"{number / scale:.3g} {prefix}{unit}"
    return f"{number:.0f} {unit}"


def _s(number: int) -> str:
    return "" if number == 1 else "s"
