"""The training loop."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

from artschool import ranks
from artschool.data.seeds import seed_all
from artschool.engine import checkpoint
from artschool.engine.due import Outcome, SavedOnFailure, look, perform_due
from artschool.engine.freeze import all_frozen
from artschool.engine.incidents import Recorded
from artschool.engine.micro_batches import MicroBatches
from artschool.engine.non_finite import end_of_run_warnings
from artschool.engine.rollback import roll_back
from artschool.engine.run_folder import hold_folder, release_folder
from artschool.engine.run_state import RunState
from artschool.engine.saving import settle, written_on_failure
from artschool.engine.signals import StopFlag, stop_flag
from artschool.engine.streams import Part
from artschool.engine.train_iteration import train_iteration
from artschool.errors import NumericsError, Stopped
from artschool.storage.durable import remove_leftovers, write_file


def train(run: RunState) -> None:
    """Train a run from its current iteration to its last one. See `Run.train`."""
    if run.is_finished:
        return None
    with _alone_in_folder(run), stop_flag() as flag, written_on_failure(run), all_frozen(run.networks.values()):
        _write_config_files(run)
        while True:
            try:
                return _train_to_end(run, flag)
            except NumericsError as error:
                if run.pending:  # A metric raised it: the training itself is sound.
                    raise
                roll_back(run, error)


def _train_to_end(run: RunState, flag: StopFlag) -> None:
    """Train from the current iteration to the last one, without rollbacks."""
    with ExitStack() as stack:
        for logger in run.loggers:
            stack.callback(logger.close)
            logger.start(run)
        run.saved_at = run.iteration if run.saved_at is None else run.saved_at
        for loader in run.loaders:
            stack.callback(loader.end_workers)
        if run.pending:
            look(run, Outcome())
        for loader in run.loaders:
            loader.bad.note = run.note
            stack.callback(loader.bad.report)
        batches = run.streams.iterations(run.iterations - run.iteration, run.device)
        stack.callback(batches.close)
        start = time.perf_counter() - run.seconds
        for batch in _guarded(run, batches):
            stop = ranks.largest_soon(lambda: flag.exit_code)
            with Recorded(run, batch):
                outcome = Outcome(train_once(run, batch))
            run.seconds = time.perf_counter() - start
            perform_due(run, outcome)
            exit_code = stop()
            if exit_code and run.iteration < run.iterations:
                checkpoint.save_now(run)
                raise Stopped(
                    f"stopped after iteration {run.iteration}; a checkpoint is saved. "
                    "To resume, run the same command again",
                    exit_code,
                )
            if run.is_finished:
                break
        settle(run)
        for warning in end_of_run_warnings(run):
            run.note(f"warning: {warning}")


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
        run.lock.is_training = False
        release_folder(run)


def _guarded(run: RunState, batches: Iterator[dict[str, Part]]) -> Iterator[dict[str, Part]]:
    """The batches. If one cannot be read, the last finished iteration is saved."""
    while True:
        with SavedOnFailure(run):
            batch = next(batches, None)
        if batch is None:
            return
        yield batch


def _write_config_files(run: RunState) -> None:
    """Write the config file to the run folder, as given and resolved."""
    if ranks.is_main():
        remove_leftovers(run.folder)
        for name, text in run.config_texts.items():
            write_file(run.folder / name, text.encode())
    ranks.wait()


def train_once(run: RunState, parts: dict[str, Part]) -> MicroBatches:
    """Train one iteration on a batch, given by stream. Returns its micro-batches."""
    iteration = run.context.iteration = run.iteration
    position = iteration + run.data_offset
    seed_all(run.iteration_seeds(position, ranks.rank()), run.device)
    for hook in run.update_hooks:
        hook(iteration, run.folder)
    run.trained_parameters.check()
    train = run.sections.train
    count = train.num_micro_batches(iteration)
    batches = MicroBatches(parts, count, run.device, run.streams.take, channels_last=train.channels_last)
    train_iteration(run.steps, run.emas, batches, run.context)
    run.iteration = iteration + 1
    return batches
