"""`artschool check`."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING

from rich.console import Console

from artschool.cli.columns import print_columns
from artschool.config.data_keys import declared_keys
from artschool.config.network_options import adapters_of
from artschool.config.parallel import sharded_networks
from artschool.config.step_parts import components_of
from artschool.config.structure import Component, Config, StepConfig
from artschool.config.value_gates import gates_of, rule_of_loss
from artschool.config.when import ALWAYS, When
from artschool.lint import Subject, lint
from artschool.read.read import check_file
from artschool.registry.entries import DatasetEntry, LossEntry

if TYPE_CHECKING:
    from artschool.trace.report import Trace

Row = tuple[str, str]


def check_command(
    path: Path, overrides: Sequence[str], *, with_plugins: bool, traced: bool = False, processes: int | None = None
) -> None:
    """Check a file and print a summary of what it does.

    Args:
        path: The file.
        overrides: Assignments that override values of the file.
        with_plugins: Whether to import the plugins of the file.
        traced: Whether to run each step on tensors without values.
        processes: For the trace, the number of processes that share a batch. None: those that `torchrun` has started.
    """
    console = Console(highlight=False)

    def print_line(line: str) -> None:
        console.print(line, soft_wrap=True, markup=False)

    config = check_file(path, overrides, with_plugins=with_plugins, announce=print_line)
    found = _trace(config, processes) if traced else None
    warnings = [*config.warnings, *lint(Subject(config, found.networks if found else None))]
    warnings += found.warnings if found else []
    for warning in warnings:
        console.print(f"warning: {warning}", soft_wrap=True, markup=False)
    print_columns(console, list(summary(config)))
    if found is not None:
        from artschool.cli.traced import print_trace

        print_trace(console, config, found)
    number = len(warnings)
    warned = f" {number} warning{'s' if number > 1 else ''}." if number else ""
    console.print(f"{path}: valid.{warned}", soft_wrap=True, markup=False)


def _trace(config: Config, processes: int | None) -> Trace:
    from artschool.trace.trace import trace  # It imports the engine.

    found = trace(config, processes)
    if found.processes > 1 and sharded_networks(config) and not found.real:
        from artschool.trace.measure import measure

        # The trace proves the whole networks; a process that shards them takes less memory.
        found.memory = measure(config, found.processes).memory
    return found


def summary(config: Config) -> Iterator[Row]:
    """A summary of a config in the order in which it runs: names, and what happens to them.

    Arrows lead from the keys that a component reads, through it, to the keys that it writes.
    """
    yield config.sections.name, _training(config)
    for name, network in config.networks.items():
        yield f"network {name}", ", ".join([_type(network), *_status(config, name)])
    for name, data in config.data.items():
        keys = declared_keys(data)
        yields = f"-> {_join(keys)}" if keys is not None else "yields keys that are known only when it is loaded"
        yield f"data {name}", f"{_type(data)} {yields}"
    for step in config.steps.values():
        own, times = step.section.streams, step.section.repeat
        fresh = f"on fresh batches of {_join(own)}" if own else ""
        repeats = f"{times} times in an iteration" if times > 1 else ""
        yield f"step {step.name}", _joined(f"trains {_join(step.section.trained)} {_method(step)}", fresh, repeats)
        yield from (_row(component) for component, _ in components_of(step))
        yield from map(_row, step.callbacks.values())
    for evaluation in config.evaluations.values():
        every = f"every {evaluation.section.every} iterations" if evaluation.section.every else "at the end"
        steps = f"runs {_join(evaluation.section.steps)}" if evaluation.section.steps else ""
        yield f"evaluate {evaluation.name}", _joined(f"on {evaluation.section.data}", every, steps)
        averages = config.averages_in(evaluation)
        for component in (*evaluation.injectors.values(), *evaluation.metrics.values()):
            yield _row(component, averages)
        yield from ((f"  {name}", _join(section.keys)) for name, section in evaluation.section.shown.items())


def _training(config: Config) -> str:
    train, data = config.sections.train, config.data["train"].entry
    number, unit = (train.iterations, "iteration") if train.iterations else (train.epochs, "epoch")
    batch = f" of {data.batch_size} sample{_s(data.batch_size)}" if isinstance(data, DatasetEntry) else ""
    parts = f" in {train.accumulate} parts" if train.accumulate > 1 else ""
    if train.accumulate_every is not None:
        parts += f", at multiples of {train.accumulate_every.every} in {train.accumulate_every.parts}"
    return f"{number} {unit}{_s(number or 0)}{batch}{parts}, in {train.precision}"


def _status(config: Config, network: str) -> list[str]:
    trainers = [step.name for step in config.steps.values() if network in step.section.trained]
    averaged = [average.summary for average in config.averages_of(network)]
    status = f"trained by {_join(trainers)}" if trainers else "frozen"
    return [*adapters_of(config.networks[network]), status, *averaged]


def _method(step: StepConfig) -> str:
    if step.optimizer is None:
        return _joined("without an optimizer", gates_of(step))
    if step.shares is not None:
        return _joined(f"with the optimizer of {step.shares.name}", gates_of(step))
    rate = step.optimizer.options().get("lr")
    at = f" at {rate:g}" if isinstance(rate, float | int) else ""
    sizing = step.section.batch_sizing
    over = f"over up to {sizing.max_full_batches} batches" if sizing else ""
    return _joined(f"with {_type(step.optimizer)}{at}", over, *map(_type, step.schedule), gates_of(step))


def _row(component: Component, substitutes: Mapping[str, str] = MappingProxyType({})) -> Row:
    called = _join(substitutes.get(use.name, use.name) for use in component.networks)
    name = f"{_type(component)}({called})" if called else _type(component)
    keys = [_join(use.name for use in uses) for uses in (component.inputs, component.writes)]
    path = " -> ".join(part for part in (keys[0], name, keys[1]) if part)
    weight = f"weight {component.entry.weight_text}" if isinstance(component.entry, LossEntry) else ""
    rule = rule_of_loss(component)
    return f"  {component.path.rpartition('.')[2]}", _joined(path, weight, _gate(component.when), str(rule or ""))


def _gate(when: When) -> str:
    return "" if when == ALWAYS else str(when)


def _joined(*parts: str) -> str:
    return ", ".join(filter(None, parts))


def _type(component: Component) -> str:
    return component.registered.name if component.registered else "?"


def _join(names: Iterable[str]) -> str:
    return ", ".join(dict.fromkeys(names))


def _s(number: int) -> str:
    return "" if number == 1 else "s"
