"""The numbers that a run logs, as far as its file names them."""

from __future__ import annotations

from collections.abc import Iterator

from artschool.config.structure import Config
from artschool.faults import Fault, Place
from artschool.registry.entries import OptimizerEntry


def measured(config: Config) -> list[str]:
    """The numbers of all evaluations: `<evaluation>/<metric>` and `<evaluation>/<step>/<loss>`."""
    names = []
    for evaluation in config.evaluations.values():
        names += [f"{evaluation.name}/{metric}" for metric in evaluation.metrics]
        for step in (config.steps[name] for name in evaluation.section.steps if name in config.steps):
            names += [f"{evaluation.name}/{step.name}/{loss}" for loss in step.losses]
    return names


def of_updates(config: Config) -> list[str]:
    """The numbers of updates: `<step>/lr` where all groups have one rate, and `<step>/grad_norm` with clipping."""
    names = []
    for step in config.steps.values():
        if step.optimizer is not None and isinstance(step.optimizer.entry, OptimizerEntry):
            groups = step.optimizer.entry.param_groups
            if not any(group.schedule_from or "lr" in (group.model_extra or {}) for group in groups):
                names.append(f"{step.name}/lr")
            if step.section.clip_grad_norm is not None:
                names.append(f"{step.name}/grad_norm")
    return names


def unknown_number(config: Config, name: str, place: Place, path: str) -> Iterator[Fault]:
    """Faults of a number that decides something and is never logged, or not before the end.

    Components may log numbers of their own, as `<step>/<component>/<name>`.
    """
    owner, _, short = name.partition("/")
    evaluation, step = config.evaluations.get(owner), config.steps.get(owner)
    logged = [f"{each.name}/{number}" for each in config.steps.values() for number in ("total", *each.losses)]
    known = [*logged, *of_updates(config), *measured(config)]
    parts = {*step.losses, *step.injectors} if step is not None else set()
    if name not in known and short.partition("/")[0] not in (parts if "/" in short else ()):
        message = f"no step or evaluation logs {name!r}"
        yield Fault.unknown_name(place, path, message, name, known, listed_as="Available numbers")
    elif step is None and evaluation is not None and evaluation.section.every is None:
        message = f"is measured only at the end, since evaluation {owner!r} has no `every`"
        yield Fault(place, path, message, f"Fix: write `every` at evaluate.{owner}.")
