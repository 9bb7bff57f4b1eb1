"""The numbers that a run logs, as far as its file names them, and the check of the names that refer to them."""

from __future__ import annotations

from collections.abc import Iterator

from artschool.config.numbers import log_name
from artschool.config.structure import Config
from artschool.faults import Fault, Place
from artschool.registry.entries import OptimizerEntry

STEP_NUMBERS = {"total", "lr", "grad_norm", "skipped", "scale", "open"}
"""The numbers that every step logs besides its losses."""


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


def number_name_faults(config: Config) -> Iterator[Fault]:
    """Faults of names of numbers that are taken, or that refer to nothing."""
    yield from _check_logged_names(config)
    yield from _check_keep_best(config)
    yield from _check_followed(config)


def _check_logged_names(config: Config) -> Iterator[Fault]:
    """Faults of losses and metrics that would be logged under a name that is already taken."""
    for step in config.steps.values():
        for name in step.losses.keys() & STEP_NUMBERS:
            loss = step.losses[name]
            message = f"every step already logs a number named {name!r}; choose another name"
            yield Fault(loss.node.start, loss.path, message)
    for number in config.numbers:
        step_name, _, logged = log_name(number.path).partition("/")
        if number.path.startswith("steps.") and logged in config.steps[step_name].losses:
            message = f"the step logs this number under the name of the loss {logged!r}; rename the loss"
            yield Fault(number.node.place, number.path, message)
    for evaluation in config.evaluations.values():
        namesake = config.steps.get(evaluation.name)
        for name in evaluation.metrics.keys() & (STEP_NUMBERS | namesake.losses.keys() if namesake else set()):
            metric = evaluation.metrics[name]
            message = f"step {evaluation.name!r} already logs '{evaluation.name}/{name}'; rename one of them"
            yield Fault(metric.node.start, metric.path, message)


def _check_keep_best(config: Config) -> Iterator[Fault]:
    best = config.sections.checkpoint.keep_best
    if best is None:
        return
    known = measured(config)
    if best.metric not in known:
        place = config.tree.at(("checkpoint", "keep_best", "metric")).place
        path, message = "checkpoint.keep_best.metric", f"no evaluation reports {best.metric!r}"
        yield Fault.unknown_name(place, path, message, best.metric, known, listed_as="Available metrics")


def _check_followed(config: Config) -> Iterator[Fault]:
    """Faults of the numbers that schedules and the end of training follow."""
    for step in config.steps.values():
        for phase in step.schedule:
            metric = getattr(phase.entry, "option_metric", None)
            if isinstance(metric, str):
                yield from unknown_number(config, metric, phase.node.at(("metric",)).place, f"{phase.path}.metric")
    if (stop := config.sections.train.stop) is not None:
        place = config.tree.at(("train", "stop", "metric")).place
        yield from unknown_number(config, stop.metric, place, "train.stop.metric")
