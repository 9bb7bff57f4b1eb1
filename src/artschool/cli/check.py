"""`artschool check`."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

from rich.console import Console
from rich.table import Table

from artschool.config.flow import components_of, declared_keys
from artschool.config.structure import Component, Config, Step
from artschool.legacy.read import check_any


def check_command(path: Path, overrides: Sequence[str], *, with_plugins: bool) -> None:
    """Prove a file and print what it does."""
    console = Console(highlight=False)

    def announce(line: str) -> None:
        console.print(line, soft_wrap=True, markup=False)

    config = check_any(path, overrides, with_plugins=with_plugins, announce=announce)
    for warning in config.warnings:
        console.print(f"warning: {warning}", soft_wrap=True, markup=False)
    print_summary(console, config)
    number = len(config.warnings)
    warned = f" {number} warning{'s' if number > 1 else ''}." if number else ""
    console.print(f"{path}: sound.{warned}", soft_wrap=True, markup=False)


def print_summary(console: Console, config: Config) -> None:
    """Networks, data, steps and evaluations, each with what it reads and writes."""
    table = Table.grid(padding=(0, 2))
    for name, network in config.networks.items():
        trainers = [step.name for step in config.steps.values() if name in step.section.trained]
        how = f"trained by {', '.join(trainers)}" if trainers else "frozen"
        table.add_row("[bold]network[/]", name, _type(network), how)
    for name, data in config.data.items():
        keys = declared_keys(data)
        yields = "yields " + ", ".join(keys) if keys is not None else "does not say what it yields"
        table.add_row("[bold]data[/]", name, _type(data), yields)
    for step in config.steps.values():
        table.add_row("[bold]step[/]", step.name, f"trains {', '.join(step.section.trained)}", _step_line(step))
        for component, _ in components_of(step):
            _add_component(table, component)
    for evaluation in config.evaluations.values():
        every = f"every {evaluation.section.every}" if evaluation.section.every else "at the end"
        table.add_row("[bold]evaluate[/]", evaluation.name, f"on {evaluation.section.data}", every)
        for component in [*evaluation.injectors.values(), *evaluation.metrics.values()]:
            _add_component(table, component)
    console.print(table)


def _add_component(table: Table, component: Component) -> None:
    name = component.path.rpartition(".")[2]
    called = [use.name for use in component.networks]
    reads = f"{_join(use.name for use in component.reads)}{' through ' + ', '.join(called) if called else ''}"
    writes = _join(use.name for use in component.writes)
    weight = getattr(component.entry, "weight", None)
    effect = f"writes {writes}" if component.kind == "injectors" else f"weight {weight:g}" if weight is not None else ""
    gate = f", {component.when}" if str(component.when) != "always" else ""
    table.add_row(
        "",
        f"  {name}",
        _type(component),
        f"reads {reads or 'nothing'}{', ' + effect if effect else ''}{gate}",
    )


def _step_line(step: Step) -> str:
    optimizer = step.optimizer
    parts = [_type(optimizer) if optimizer else "no optimizer"]
    if optimizer is not None:
        rate = optimizer.options().get("lr")
        parts += [f"at {rate:g}"] if isinstance(rate, float | int) else []
    parts += [", ".join(_type(phase) for phase in step.schedule)] if step.schedule else []
    gate = str(step.section.trains_when)
    return ", ".join([" ".join(parts[:2]), *parts[2:], gate])


def _type(component: Component) -> str:
    return component.registered.name if component.registered else "?"


def _join(names: Iterable[str]) -> str:
    return ", ".join(dict.fromkeys(names))
