"""The output of `artschool check --trace`."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from rich.console import Console

from artschool.cli.columns import print_columns
from artschool.config.step_parts import readers_of
from artschool.config.structure import Component, Config
from artschool.engine.room import free_bytes, in_bytes
from artschool.trace.keys import TracedKey
from artschool.trace.report import Trace


def print_trace(console: Console, config: Config, found: Trace) -> None:
    """Print the results of a trace: keys, gradients, memory and disk."""
    for note in found.notes:
        console.print(f"note: {note}", soft_wrap=True, markup=False)
    print_columns(console, list(_keys(config, found)))
    print_columns(console, list(_gradients(found)))
    print_columns(console, list(_memory(config, found)))
    if warning := found.warning_of_disk(config.sections.runs):
        console.print(f"warning: {warning}", soft_wrap=True, markup=False)


def _keys(config: Config, found: Trace) -> Iterator[tuple[str, str, str, str]]:
    steps = config.steps.values()
    yield "key", "value", "gradient", "writer -> readers"
    yield from _rows(found.keys, _readers(c for s in steps if not s.section.streams for c, _ in readers_of(s)))
    for name, keys in found.steps.items():
        yield f"step {name}", "", "", ""
        yield from _rows(keys, _readers(component for component, _ in readers_of(config.steps[name])))
    for name, keys in found.evaluations.items():
        evaluation = config.evaluations[name]
        yield f"evaluate {name}", "", "", ""
        yield from _rows(keys, _readers((*evaluation.injectors.values(), *evaluation.metrics.values())))


def _readers(components: Iterable[Component]) -> dict[str, list[str]]:
    """The paths of the components that read each key."""
    read: dict[str, list[str]] = {}
    for component in components:
        for use in component.reads:
            read.setdefault(use.name, []).append(component.path)
    return read


def _rows(keys: Mapping[str, TracedKey], readers: Mapping[str, list[str]]) -> Iterator[tuple[str, str, str, str]]:
    for key in keys.values():
        names = ", ".join(dict.fromkeys(map(_short, readers.get(key.name, ()))))
        flow = f"{_short(key.writer)} -> {names}" if names else _short(key.writer)
        yield f"  {key.name}", key.kind, "yes" if key.gradient else "", flow


def _gradients(found: Trace) -> Iterator[tuple[str, str]]:
    yield "loss", "gradient reaches"
    for path, reach in found.reached.items():
        parts = [
            f"{len(names)} of {sum(1 for _ in found.networks[network].parameters())} parameters of {network}"
            for network, names in reach.networks.items()
        ]
        yield f"  {_short(path)}", ", ".join(parts)


def _memory(config: Config, found: Trace) -> Iterator[tuple[str, str, str]]:
    yield (
        "memory",
        in_bytes(found.memory.peak),
        f"at the peak, for one process{'' if found.processes == 1 else f' of {found.processes:,}'}",
    )
    for kind, size in found.memory.lasting.items():
        if size:
            yield f"  {kind}", in_bytes(size), ""
    if found.memory.offloaded:
        yield "  (of the CPU)", in_bytes(found.memory.offloaded), "optimizer state and averages"
    precision = config.sections.train.precision
    for name, kinds in found.memory.steps.items():
        parts = " and ".join(f"{in_bytes(size)} of {kind}" for kind, size in kinds.items() if size)
        yield f"  step {name}", in_bytes(kinds.total()), f"{parts}, in {precision}"
    free = free_bytes(config.sections.runs)
    yield "disk", in_bytes(found.checkpoint * found.kept), f"of {in_bytes(free)} free"
    yield "  a checkpoint", in_bytes(found.checkpoint), f"{found.kept} kept"


def _short(path: str) -> str:
    """`gen.pixel` for `steps.gen.losses.pixel`."""
    parts = path.split(".")
    return f"{parts[1]}.{parts[3]}" if len(parts) > 3 else path
