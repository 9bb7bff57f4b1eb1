"""The training loop."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager, nullcontext
from functools import partial

from artschool import ranks
from artschool.engine import checkpoint
from artschool.engine.due import look, perform_due
from artschool.engine.ending import saved_at_a_signal
from artschool.engine.exits import CODE, without_exits
from artschool.engine.freeze import all_frozen
from artschool.engine.incidents import record_failure
from artschool.engine.micro_batches import MicroBatches
from artschool.engine.non_finite import end_of_run_warnings
from artschool.engine.outcome import Outcome
from artschool.engine.rollback import roll_back
from artschool.engine.run_folder import check_folder, hold_folder, release_folder, write_config_files
from artschool.engine.run_state import RunState, send
from artschool.engine.saving import written_on_failure
from artschool.engine.signals import interruptible, noting, until_signal
from artschool.engine.streams import Part
from artschool.engine.train_iteration import train_iteration
from artschool.engine.watchdog import watched
from artschool.engine.way_out import saved_on_failure
from artschool.errors import NumericsError
from artschool.storage.processes import ended_if_forked


def train(run: RunState) -> None:
    """Train a run from its current iteration to its last one. See `Run.train`."""
    if run.is_finished:
        return None
    with (
        _alone_in_folder(run),
        noting(),
        watched(run),
        written_on_failure(run),
        saved_on_failure(run),
        without_exits(),
        all_frozen(run.networks.values()),
    ):
        if ranks.is_main():
            write_config_files(run)
            run.observer.start(run.folder, run.networks, {ema.of: ema.module for ema in run.emas.values()})
        ranks.wait()
        while True:
            try:
                return _train_to_end(run)
            except NumericsError as error:
                if run.pending:  # A metric raised it: the training itself is sound.
                    raise
                roll_back(run, error)


def _train_to_end(run: RunState) -> None:
    """Train from the current iteration to the last one, without rollbacks."""
    with ExitStack() as stack:
        for logger in run.loggers:
            stack.callback(send, logger, "close")
            send(logger, "start", run)
        run.saved_at = run.iteration if run.saved_at is None else run.saved_at
        for loader in run.loaders:
            stack.callback(loader.end_workers)
            loader.bad.note = run.note
            stack.callback(loader.bad.report)
        with saved_at_a_signal(run):
            if run.pending:
                look(run, Outcome())
            number = run.iterations - run.iteration
            batches = run.streams.iterations(number, run.device)
            stack.callback(batches.close)
            start = time.perf_counter() - run.seconds
            for batch in until_signal(_begun(run, batches), number):
                check_folder(run)
                try:
                    with ended_if_forked(lambda: CODE):
                        outcome = Outcome(train_once(run, batch))
                except BaseException as end:
                    run.working_folder.keep(run.note)
                    raise record_failure(run, end, batch)  # noqa: B904  # it has its cause
                run.working_folder.keep(run.note)
                run.seconds = time.perf_counter() - start
                perform_due(run, outcome)
                if run.is_finished:
                    break
        checkpoint.save_now(run)
        for warning in end_of_run_warnings(run):
            run.note(f"warning: {warning}")
    if run.look_failure is not None:
        error, iteration = run.look_failure
        error.add_note(
            f"This came up after iteration {iteration}, and training went on. All {run.iteration} iterations are saved"
        )
        raise error


@contextmanager
def _alone_in_folder(run: RunState) -> Iterator[None]:
    hold_folder(run, create=True)
    if run.lock is None:
        yield
        return
    run.lock.is_training = True
    try:
        yield
    finally:
        if run.lock is not None:  # Another one, if the folder has been moved.
            run.lock.is_training = False
        release_folder(run)


def _begun(run: RunState, batches: Iterator[dict[str, Part]]) -> Iterator[dict[str, Part]]:
    """The batches. What an iteration changes is remembered before its batch is taken."""
    while True:
        run.undo.begin(run.iteration)
        batch = next(batches, None)
        if batch is None:
            return
        yield batch


def train_once(run: RunState, parts: dict[str, Part]) -> MicroBatches:
    """Train one iteration on a batch, given by stream. Returns its micro-batches."""
    iteration = run.context.iteration = run.iteration
    run.seeding.begin(iteration + run.data_offset)
    for hook in run.update_hooks:
        hook(iteration, run.folder)
    run.trained_parameters.check()
    train = run.sections.train
    count = train.num_micro_batches(iteration)
    batches = MicroBatches(parts, count, run.device, partial(_take, run), channels_last=train.channels_last)
    train_iteration(run.steps, run.emas, batches, run.context)
    run.seeding.end()
    run.iteration = iteration + 1
    return batches


def _take(run: RunState, names: Iterable[str]) -> dict[str, Part]:
    """Fresh batches for a step. After a signal, the wait for them ends if the iteration can still be undone."""
    with nullcontext() if run.context.has_updated else interruptible():
        return run.streams.take(names)
