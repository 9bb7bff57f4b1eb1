"""Saves a run: when all processes meet at an iteration, now or in the background."""

from __future__ import annotations

import copy
import hashlib
import json
import time
from collections.abc import Callable, Iterator
from typing import Any

from artschool import ranks
from artschool.engine.background import Write, copied
from artschool.engine.captured_state import OwnState, capture, decisions_of, optimizers_of, own_state
from artschool.engine.non_finite import find_non_finite
from artschool.engine.restore_modules import OPTIMIZERS
from artschool.engine.run_folder import check_folder
from artschool.engine.run_state import RunState
from artschool.engine.saving import is_in_background, is_sharded, settle, start_write
from artschool.engine.shard_files import Parts, failing_together, folder_for_others, has_shards, save_parts
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
        prepared = _Save(run, processes, optimizers, problem) if sharded or ranks.is_main() else None
    if prepared is None:
        start_write(run, _nothing)
    else:
        start_write(run, prepared.write, needs_state=not prepared.is_copied)


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


class _Save:
    """One save of the run as it is now: what this process writes, alone or with the others.

    Args:
        problem: Describes what is NaN or infinite.

    Attributes:
        is_copied: Whether training can change the run before everything is written.
    """

    def __init__(
        self, run: RunState, processes: list[OwnState], optimizers: dict[str, Any], problem: Callable[[], str]
    ) -> None:
        self._run = run
        self._number = run.iteration
        self._problem = problem
        self._rotate = _rotation(run)
        tensors, self._state = capture(run, processes, optimizers)
        self._parts = Parts({file: tensors.pop(file) for file in [*tensors] if has_shards(tensors[file])})
        self._own = tensors if ranks.is_main() else {}  # Files without sharded tensors.
        self._on_cpu = {file: {name for name in named if named[name].is_cpu} for file, named in self._own.items()}
        self._wait_for_copies: Callable[[], None] = lambda: None
        self.is_copied = is_in_background(run) and self._copy()

    def _copy(self) -> bool:
        """Copy the state, but not what `_write_alone` writes before it yields. False: there is not enough memory."""
        self._state = copy.deepcopy(self._state)
        parts = self._parts.values
        try:
            (self._own, self._parts.values), self._wait_for_copies = copied(self._own, parts, from_cpu=bool(parts))
        except Exception as error:
            if not is_out_of_memory(error):
                raise
            self._run.note(
                f"warning: there is not enough memory for a copy of the checkpoint after {self._number} iterations, so "
                "training waits until it is written. Fix: `checkpoint.background: false`"
            )
            return False
        return True

    @property
    def write(self) -> Write:
        """Writes the checkpoint, or the part of this process."""
        return self._write_with_others if self._parts.values else self._write_alone

    def _write_alone(self) -> Iterator[None]:
        with self._run.store.draft(self._number) as draft:
            if self.is_copied:
                draft.begin(self._own, self._on_cpu)
                yield
                self._wait_for_copies()
            draft.write(self._own, self._state)
            self._finish(draft)
        self._rotate()

    def _write_with_others(self) -> Iterator[None]:
        yield
        self._wait_for_copies()
        group = self._run.saver.group
        if not ranks.is_main():
            save_parts(group, self._parts)
            return
        with folder_for_others(group) as save_parts_in, self._run.store.draft(self._number) as draft:
            draft.write(self._own, self._state)
            draft.records |= save_parts_in(draft.folder, self._parts)
            self._finish(draft)
        self._rotate()

    def _finish(self, draft: Draft) -> None:
        """Write the manifest. Warn if something is NaN or infinite."""
        draft.finish(
            config_hash=hashlib.sha256(json.dumps(self._run.config, sort_keys=True).encode()).hexdigest(),
            world_size=ranks.launched_processes(),  # Also if the main process saves alone.
            non_finite=(non_finite := self._problem()),
        )
        if non_finite:
            self._run.note(f"warning: the checkpoint after {self._number} iterations is not sound: {non_finite}")


def _of_processes(run: RunState) -> list[OwnState]:
    """What each process has for itself. If the main process saves alone, the others count as drawing as it does."""
    gathered = ranks.gather(own_state(run))
    return gathered + [OwnState(run.seeding.draws)] * (ranks.launched_processes() - len(gathered))


def _rotation(run: RunState) -> Callable[[], object]:
    """The deletion of old checkpoints, or of the state of their optimizers, as far as they are not needed now."""
    section = run.sections.checkpoint
    protected = {number for number in (run.resumed_from, run.best[1] if run.best else None) if number is not None}

    def rotate() -> None:
        run.store.rotate(protected, keep_last=None if section.keep_last == "all" else section.keep_last)
        if section.state == "last":
            run.store.thin_out(OPTIMIZERS, protected)

    return rotate


def _nothing() -> Iterator[None]:
    """The write of a process that writes nothing."""
    yield
