"""Actions after an iteration, such as logging and saving. `AFTER_ITERATION` lists them in order."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import NamedTuple

from artschool import ranks
from artschool.engine import checkpoint
from artschool.engine.evaluate import Evaluation
from artschool.engine.hooks import hooks
from artschool.engine.micro_batches import MicroBatches
from artschool.engine.non_finite import check_skipped_updates, non_finite_weights
from artschool.engine.pictures import log_pictures
from artschool.engine.run_state import RunState
from artschool.engine.update import Update
from artschool.errors import NumericsError


@dataclass(slots=True)
class Outcome:
    """The result of an iteration, which the actions after it read and write.

    Attributes:
        batches: The micro-batches of the iteration, with the values that its steps have kept.
        numbers: Numbers to log, by name.
        saved: Whether a checkpoint has been saved after this iteration.
    """

    batches: MicroBatches
    numbers: dict[str, float] = field(default_factory=dict)
    saved: bool = False


Action = Callable[[RunState, Outcome], None]
IsDue = Callable[[RunState, Outcome], bool]


class Due(NamedTuple):
    """An action, and when it runs.

    Attributes:
        is_due: Whether the action runs after this iteration. Called after every iteration, so it must be fast and must
            not wait for the device.
        action: The same on every process.
    """

    is_due: IsDue
    action: Action


def perform_due(run: RunState, outcome: Outcome) -> None:
    """Run every action that is due after the iteration that has just finished."""
    for is_due, action in AFTER_ITERATION:
        if is_due(run, outcome):
            action(run, outcome)


def _always(run: RunState, outcome: Outcome) -> bool:
    return True


def _is_picture_due(run: RunState, outcome: Outcome) -> bool:
    pictures = run.sections.log.pictures
    return pictures is not None and run.iteration % pictures.every == 0


def _is_log_due(run: RunState, outcome: Outcome) -> bool:
    return run.iteration % run.sections.log.every == 0 or run.iteration == run.iterations


def _is_evaluation_due(run: RunState, outcome: Outcome) -> bool:
    return bool(_due_evaluations(run))


def _due_evaluations(run: RunState) -> tuple[Evaluation, ...]:
    due: tuple[Evaluation, ...] = ()
    for evaluation in run.evaluations:  # A comprehension would allocate after every iteration.
        if evaluation.is_due(run.iteration, run.iterations):
            due = (*due, evaluation)
    return due


def _has_numbers(run: RunState, outcome: Outcome) -> bool:
    return bool(outcome.numbers)


def _is_save_due(run: RunState, outcome: Outcome) -> bool:
    every = run.sections.checkpoint.every
    is_best = run.best is not None and run.best[1] == run.iteration
    return is_best or run.iteration == run.iterations or (every is not None and run.iteration % every == 0)


def _advance_loggers(run: RunState, outcome: Outcome) -> None:
    for logger in run.loggers:
        logger.advance(run)


def _log_pictures(run: RunState, outcome: Outcome) -> None:
    assert run.sections.log.pictures is not None
    log_pictures(run, run.sections.log.pictures, outcome.batches.first)


def _collect_numbers(run: RunState, outcome: Outcome) -> None:
    """Add the numbers since the last log point.

    Raises:
        NumericsError: Too many updates were non-finite. The numbers have been logged.
    """
    outcome.numbers |= _numbers(run)
    try:
        check_skipped_updates(run)
    except NumericsError:
        _write_log(run, outcome)
        raise


def _evaluate(run: RunState, outcome: Outcome) -> None:
    for evaluation in _due_evaluations(run):
        run.last_evaluation |= evaluation.run(run.iteration, run.device)
    outcome.numbers |= run.last_evaluation


def _write_log(run: RunState, outcome: Outcome) -> None:
    head = {"iteration": run.iteration - 1, "samples": run.samples, "seconds": round(run.seconds, 3)}
    for logger in run.loggers:
        logger.log({**head, **outcome.numbers})


def _keep_best(run: RunState, outcome: Outcome) -> None:
    """Record a new best value of the metric of `checkpoint.keep_best`, unless a weight is NaN or infinite."""
    best = run.sections.checkpoint.keep_best
    value = outcome.numbers.get(best.metric, math.nan) if best else math.nan
    if best is None or math.isnan(value):
        return
    if run.best is not None and not (value > run.best[0] if best.mode == "max" else value < run.best[0]):
        return
    problem = non_finite_weights(run)
    if ranks.largest(bool(problem)):
        run.note(
            f"warning: {best.metric} {value:.4g} after {run.iteration} iterations is not kept as the best: {problem}"
        )
        return
    run.best = (value, run.iteration)


def _save(run: RunState, outcome: Outcome) -> None:
    checkpoint.save(run)
    outcome.saved = True


AFTER_ITERATION = (
    Due(_always, _advance_loggers),
    Due(_is_picture_due, _log_pictures),
    Due(_is_log_due, _collect_numbers),
    Due(_is_evaluation_due, _evaluate),
    Due(_has_numbers, _write_log),
    Due(_is_evaluation_due, _keep_best),
    Due(_is_save_due, _save),
)


def _numbers(run: RunState) -> dict[str, float]:
    """The numbers since the last log point, by name; waits for the device."""
    numbers = run.meters.drain()
    iteration = run.iteration - 1
    for step in run.steps:
        if step.graph.when.active(iteration):
            numbers |= step.log_data(iteration)
            if step.update is not None:
                numbers |= _update_numbers(step.graph.name, step.update)
    for name, hook in hooks(run.networks, "get_debug_values"):
        numbers |= {f"{name}/{key}": float(value) for key, value in hook(iteration, name).items()}
    return numbers


def _update_numbers(step: str, update: Update) -> dict[str, float]:
    """The learning rates of a step, the number of its skipped updates, and with fp16 the scale of its loss."""
    rates = update.scheduled.rates()
    names = ["lr"] if len(set(rates)) == 1 else [f"lr/{index}" for index in range(len(rates))]
    numbers = {f"{step}/{name}": rate for name, rate in zip(names, rates, strict=False)}
    if update.skip_non_finite:
        numbers[f"{step}/skipped"] = update.skips().total
    if update.precision.kind == "fp16":
        numbers[f"{step}/scale"] = update.precision.scale
    return numbers
