"""Saves a run: when all processes meet at an iteration, now or in the background."""

from __future__ import annotations

import copy
import hashlib
import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from artschool import ranks
from artschool.engine.background import TensorFiles, Write, copied
from artschool.engine.captured_state import OwnState, capture, decisions_of, optimizers_of, own_state
from artschool.engine.non_finite import find_non_finite
from artschool.engine.restore_modules import OPTIMIZERS
from artschool.engine.run_folder import check_folder
from artschool.engine.run_state import RunState
from artschool.engine.saving import is_in_background, is_sharded, settle, start_write
from artschool.engine.shard_files import Parts, Records, failing_together, has_shards, save_parts, save_with_others
from artschool.shortages import is_out_of_memory
from artschool.storage.draft import Draft

PAUSES = (0.0, 1.0, 2.0)
"""Seconds to wait before each try of the last save."""


def save(run: RunState) -> None:
    """Save a checkpoint of the run: now, or in the background, where `settle` waits for it.

    Every process must call this; all of them raise if one fails. The state is copied or written before this returns,
    so that the run can train on.

    Raises:
        CheckpointError: A value cannot be saved, or another process failed.
        ResourceError: The disk is full or cannot be written.
        StateError: The code of a network has replaced a parameter that an optimizer moves.
    """
    run.working_folder.keep(run.note)
    settle(run)  # Before the copy: there is never more than one.
    run.trained_parameters.check()
    processes = _of_processes(run)
    optimizers = optimizers_of(run)
    sharded = is_sharded(run)
    if sharded and run.saver.group is None:
        run.saver.group = ranks.new_group()
    problem = find_non_finite(run)
    with failing_together():
        if run.lock is not None:
            run.lock.touch()
            check_folder(run)
        takes_part = sharded or ranks.is_main()
        write, needs_state = _prepare(run, processes, optimizers, problem) if takes_part else (_nothing, False)
    start_write(run, write, needs_state=needs_state)


def amend(run: RunState) -> None:
    """Add to the checkpoint of the current iteration what its log point and its evaluations have changed.

    If the checkpoint is still being written in the background, this is done when it is complete. Every process must
    call this. Raises what `save` raises.
    """
    number = run.iteration
    values = {
        "meters": [own.meters for own in _of_processes(run)],
        "best": run.best,
        "pending": run.pending,
        "decisions": decisions_of(run),
    }
    changes: dict[str, Any] = copy.deepcopy(values)  # What a schedule remembers may change before the write.
    rotate = _rotation(run)

    def write() -> Iterator[None]:
        yield  # What is being written comes first.
        run.store.amend(number, changes)
        rotate()

    start_write(run, write if ranks.is_main() else _nothing)


def save_now(run: RunState) -> None:
    """Save the last finished iteration, unless it is saved already, and wait until it is on the disk.

    There is no later chance, so a disk that refuses is tried a few times. Every process must call this. Raises what
    `save` raises.
    """
    settle(run)
    for pause in PAUSES:
        if run.saved_at == run.iteration:
            return
        time.sleep(pause)
        save(run)
        settle(run)
    if run.saved_at != run.iteration:
        raise run.saver.refusals[-1]


def _prepare(
    run: RunState, processes: list[OwnState], optimizers: dict[str, Any], problem: Callable[[], str]
) -> tuple[Write, bool]:
    """The write of a checkpoint of the run as it is now, or of the part of this process.

    Args:
        problem: Describes what is NaN or infinite.

    Returns:
        The write, and whether it reads tensors of the run: there is no copy of them.
    """
    number, rotate = run.iteration, _rotation(run)
    tensors, state = capture(run, processes, optimizers)
    parts = Parts({file: tensors.pop(file) for file in [*tensors] if has_shards(tensors[file])})
    own = tensors if ranks.is_main() else {}
    complete: Callable[[], None] | None = None
    on_cpu = {file: {name for name, value in named.items() if value.is_cpu} for file, named in own.items()}
    if is_in_background(run):
        (own, parts.values), complete = _copied(run, own, parts.values, from_cpu=bool(parts.values))
        state = copy.deepcopy(state)

    def finish(draft: Draft, others: Callable[[Path], Records] = lambda folder: {}) -> None:
        draft.write(own, state)
        draft.records |= others(draft.folder)
        draft.finish(
            config_hash=hashlib.sha256(json.dumps(run.config, sort_keys=True).encode()).hexdigest(),
            world_size=ranks.launched_processes(),  # Also if the main process saves alone.
            non_finite=(non_finite := problem()),
        )
        if non_finite:
            run.note(f"warning: the checkpoint after {number} iterations is not sound: {non_finite}")

    def write() -> Iterator[None]:
        with run.store.draft(number) as draft:
            if complete is not None:
                draft.begin(own, on_cpu)
                yield
                complete()
            finish(draft)
        rotate()

    def finish_with(others: Callable[[Path], Records]) -> None:
        with run.store.draft(number) as draft:
            finish(draft, others)

    def write_with_others() -> Iterator[None]:
        yield
        if complete is not None:
            complete()
        if ranks.is_main():
            save_with_others(run.saver.group, parts, finish_with)
            rotate()
        else:
            save_parts(run.saver.group, parts)

    return write_with_others if parts.values else write, complete is None


def _copied(run: RunState, *parts: TensorFiles, from_cpu: bool) -> tuple[list[Any], Callable[[], None] | None]:
    """What `copied` returns. Without enough memory, the tensors themselves, and None."""
    try:
        return copied(*parts, from_cpu=from_cpu)
    except Exception as error:
        if not is_out_of_memory(error):
            raise
        run.note(
            f"warning: there is not enough memory for a copy of the checkpoint after {run.iteration} iterations, so "
            "training waits until it is written. Fix: `checkpoint.background: false`"
        )
        return list(parts), None


def _of_processes(run: RunState) -> list[OwnState]:
    """What each process has for itself. If the main process saves alone, the others count as drawing as it does."""
    gathered = ranks.gather(own_state(run))
    return gathered + [OwnState(run.seeding.draws)] * (ranks.launched_processes() - len(gathered))


def _rotation(run: RunState) -> Callable[[], object]:
    """The deletion of old checkpoints, or of the state of their optimizers, as far as they are not needed now."""
    section, protected = run.sections.checkpoint, _protected(run)

    def rotate() -> None:
        run.store.rotate(protected, keep_last=None if section.keep_last == "all" else section.keep_last)
        if section.state == "last":
            run.store.thin_out(OPTIMIZERS, protected)

    return rotate


def _nothing() -> Iterator[None]:
    """The write of a process that writes nothing."""
    yield


def _protected(run: RunState) -> set[int]:
    numbers = {run.resumed_from, run.best[1] if run.best else None}
    return {number for number in numbers if number is not None}
