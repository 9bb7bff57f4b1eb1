"""Actions after an iteration, such as logging and saving. `AFTER_ITERATION` lists them in order.

What is due to be saved is saved before anything looks at the result: images, numbers and evaluations may run into an
error, or take hours. A checkpoint is `pending` until they are done, and a run that resumes from it does them first.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import partial
from typing import NamedTuple

from artschool import ranks
from artschool.engine import checkpoint
from artschool.engine.differing_buffers import report_differing_buffers
from artschool.engine.evaluate import Evaluation
from artschool.engine.non_finite import check_skipped_updates, non_finite_weights, report_skipped_updates
from artschool.engine.outcome import Outcome, attempt
from artschool.engine.pictures import log_pictures
from artschool.engine.rollback import is_snapshot_due, take_snapshot
from artschool.engine.run_state import RunState
from artschool.engine.shown import show
from artschool.engine.spikes import report_spikes
from artschool.engine.step_numbers import asked_numbers, numbers_of_updates
from artschool.errors import NumericsError, ResourceError

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
    run.pending = _is_look_due(run, outcome)
    _perform(ADVANCE, run, outcome)
    _perform(SAVE, run, outcome)
    if run.pending:
        look(run, outcome)


def look(run: RunState, outcome: Outcome) -> None:
    """Do what is pending after the last finished iteration, then add to its checkpoint what changed.

    Raises:
        Exception: Something that looks has failed after the last iteration. Everything is still pending then.
    """
    before = _versions(run) if _may_be_saved(run) else {}
    _perform(LOOK, run, outcome)
    if outcome.failures:
        run.look_failure = run.look_failure or (outcome.failures[0], run.iteration)
        if run.iteration >= run.iterations:
            raise outcome.failures[0]
    _finish(run, outcome, has_changed=_may_be_saved(run) and _versions(run) != before)


def _perform(actions: Sequence[Due], run: RunState, outcome: Outcome) -> None:
    for is_due, action in actions:
        if is_due(run, outcome):
            action(run, outcome)


def _always(run: RunState, outcome: Outcome) -> bool:
    return True


def _is_picture_due(run: RunState, outcome: Outcome) -> bool:
    pictures = run.sections.log.pictures
    return pictures is not None and outcome.batches is not None and pictures.due.active(run.iteration)


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


def _is_look_due(run: RunState, outcome: Outcome) -> bool:
    return _is_picture_due(run, outcome) or _is_log_due(run, outcome) or _is_evaluation_due(run, outcome)


def _is_record_due(run: RunState, outcome: Outcome) -> bool:
    return bool(outcome.numbers) or _is_log_due(run, outcome)


def _is_save_due(run: RunState, outcome: Outcome) -> bool:
    every = run.sections.checkpoint.every
    if run.iteration in (run.iterations, run.saver.retry_at):
        return True
    return every is not None and run.iteration % every == 0


def _is_snapshot_due(run: RunState, outcome: Outcome) -> bool:
    return _is_log_due(run, outcome) and is_snapshot_due(run)


def _advance_loggers(run: RunState, outcome: Outcome) -> None:
    run.send("advance", run)


def _log_pictures(run: RunState, outcome: Outcome) -> None:
    assert run.sections.log.pictures is not None and outcome.batches is not None
    pictures, state = run.sections.log.pictures, outcome.batches.first
    attempt(run, outcome, "log.pictures", lambda: log_pictures(run, pictures, state))


def _check_updates(run: RunState, outcome: Outcome) -> None:
    """Stop the run after too many non-finite updates, before it is saved.

    Raises:
        NumericsError: There were too many. The numbers have been logged.
    """
    report_skipped_updates(run)
    try:
        check_skipped_updates(run)
    except NumericsError:
        run.pending = False
        outcome.numbers |= run.meters.drain() | numbers_of_updates(run)
        _write_log(run, outcome)
        raise


def _take_snapshot(run: RunState, outcome: Outcome) -> None:
    take_snapshot(run)


def _collect_numbers(run: RunState, outcome: Outcome) -> None:
    """Add the numbers since the last log point. They are kept until they are logged."""
    outcome.numbers |= run.meters.means() | numbers_of_updates(run)
    report_spikes(run, outcome.numbers)
    attempt(run, outcome, "a number of the log", lambda: outcome.numbers.update(asked_numbers(run)))


def _evaluate(run: RunState, outcome: Outcome) -> None:
    _evaluate_all(_due_evaluations(run), run, outcome)


def _evaluate_all(evaluations: Sequence[Evaluation], run: RunState, outcome: Outcome) -> None:
    for evaluation in evaluations:
        attempt(run, outcome, f"evaluate.{evaluation.name}", partial(_run_evaluation, evaluation, run, outcome))
        if evaluation.samples is not None:
            attempt(run, outcome, f"showing evaluate.{evaluation.name}", partial(show, run, evaluation))


def _run_evaluation(evaluation: Evaluation, run: RunState, outcome: Outcome) -> None:
    values = run.measure(evaluation, partial(run.send, "evaluating"))
    outcome.numbers |= values
    kept = {name: value for name, value in run.last_evaluation.items() if name.split("/")[0] != evaluation.name}
    run.last_evaluation = kept | values


def _decide(run: RunState, outcome: Outcome) -> None:
    """Show each number to what follows it. If that ends the training, this iteration is the last one."""
    for decision in run.decisions.values():
        value = outcome.numbers.get(decision.follower.metric)
        if value is not None and run.iteration > decision.start:
            decision.follower.see(value)
    if run.stop_reason and run.iteration < run.iterations:
        done, is_collected = _due_evaluations(run), _is_log_due(run, outcome)
        run.iterations = run.iteration
        if not is_collected:
            _collect_numbers(run, outcome)
        _evaluate_all([evaluation for evaluation in _due_evaluations(run) if evaluation not in done], run, outcome)
        run.note(f"{run.stop_reason}: training ends after {run.iteration} iterations")


def _write_log(run: RunState, outcome: Outcome) -> None:
    head = {"iteration": run.iteration - 1, "samples": run.samples, "seconds": round(run.seconds, 3)}
    record = {**head, **outcome.numbers}
    attempt(run, outcome, "a logger", lambda: run.send("log", record))


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


def _has_news(run: RunState, outcome: Outcome) -> bool:
    return run.observer.has_news


def _write_examples(run: RunState, outcome: Outcome) -> None:
    """Write what the observer has seen. Only the main process observes."""
    try:
        run.observer.write(run.folder)
    except ResourceError as error:
        run.note(f"warning: {error}. The run can be used without this file, as far as its inputs are given")


def _look_again(run: RunState, outcome: Outcome) -> None:
    run.observer.look_again()


def _compare_buffers(run: RunState, outcome: Outcome) -> None:
    report_differing_buffers(run)


def _save(run: RunState, outcome: Outcome) -> None:
    checkpoint.save(run)


def _finish(run: RunState, outcome: Outcome, *, has_changed: bool) -> None:
    """Put into the checkpoint that nothing is pending any more, or write one if the iteration is the best so far.

    Args:
        has_changed: Whether looking has changed a tensor, such as a buffer that counts calls.
    """
    run.pending = False
    if _is_log_due(run, outcome):
        run.meters.clear()
    is_saved = run.saver.number == run.iteration or (
        run.saved_at == run.iteration and ranks.largest(run.iteration in run.store.numbers())
    )
    if is_saved and not ranks.largest(has_changed):
        checkpoint.amend(run)
    elif is_saved or run.is_finished or (run.best is not None and run.best[1] == run.iteration):
        checkpoint.save(run)


def _may_be_saved(run: RunState) -> bool:
    """Whether there is a checkpoint of this iteration, as far as this process knows without the disk."""
    return run.iteration in (run.saver.number, run.saved_at)


def _versions(run: RunState) -> dict[int, int]:
    """How often each tensor of a checkpoint has been changed in place, by its identity."""
    modules = (*run.networks.values(), *run.modules.values(), *(ema.module for ema in run.emas.values()))
    tensors = (tensor for module in modules for tensor in (*module.parameters(), *module.buffers()))
    return {id(tensor): tensor._version for tensor in tensors if not tensor.is_inference()}


ADVANCE = (Due(_always, _advance_loggers), Due(_is_log_due, _look_again), Due(_has_news, _write_examples))
SAVE = (
    Due(_is_log_due, _check_updates),
    Due(_is_snapshot_due, _take_snapshot),
    Due(_is_save_due, _compare_buffers),
    Due(_is_save_due, _save),
)
LOOK = (
    Due(_is_picture_due, _log_pictures),
    Due(_is_log_due, _collect_numbers),
    Due(_is_evaluation_due, _evaluate),
    Due(_is_record_due, _decide),
    Due(_is_record_due, _write_log),
    Due(_is_evaluation_due, _keep_best),
    Due(_has_news, _write_examples),
)
AFTER_ITERATION = (*ADVANCE, *SAVE, *LOOK)
