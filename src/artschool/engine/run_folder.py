"""Creates the folder of a run, checks whose it is and that it can be created, and locks it."""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from artschool import ranks
from artschool.config.origin import CONFIG_FILE, RESOLVED_FILE, RUN_FILE, read_origin
from artschool.engine.data_examples import FILE as EXAMPLES_FILE
from artschool.engine.incidents import FOLDER as INCIDENTS
from artschool.engine.room import check_room
from artschool.engine.run_state import RunState
from artschool.engine.starts import FILE as STARTS_FILE
from artschool.engine.starts import record_start
from artschool.engine.together import by_main, together
from artschool.errors import CheckpointError, ResourceError
from artschool.paths import exists, is_dir, is_file
from artschool.storage.checkpoint_store import CheckpointStore
from artschool.storage.durable import check_file_system, make_folder, remove_leftovers, write_file
from artschool.storage.run_lock import FILE as LOCK_FILE
from artschool.storage.run_lock import RunLock, is_foreign, lock_folder, read_lock

SHARED_AFTER_S = 30.0
"""Seconds after which a file of rank 0 is on all machines that share a disk, whatever a file system caches."""

CHECKPOINTS = "checkpoints"
DRAWINGS = ("graph.svg", "plan.svg")
FILES = (RUN_FILE, CONFIG_FILE, RESOLVED_FILE, *DRAWINGS, STARTS_FILE, EXAMPLES_FILE, "metrics.jsonl")
FOLDERS = ("pictures", INCIDENTS, CHECKPOINTS)
"""The files that a run replaces in its folder, and the folders in which it replaces files."""

MOST_NAMED = 4
"""The most files of others that a warning names."""


def create_run_folder(folder: Path) -> list[Path]:
    """Create a folder and its missing parents durably.

    Returns:
        The folders that were created, deepest first.

    Raises:
        ResourceError: A folder cannot be created.
    """
    try:
        missing = [path for path in (folder, *folder.parents) if not exists(path)]
        os.fsencode(folder).decode()
        make_folder(folder)
    except UnicodeDecodeError as error:
        raise ResourceError(
            f"{folder}: the path is not valid UTF-8, which safetensors needs. Fix: choose another folder with --run-dir"
        ) from error
    except (OSError, ResourceError) as error:
        cause = error.__cause__ if isinstance(error, ResourceError) else error
        reason = getattr(cause, "strerror", None) or str(error)
        raise ResourceError(
            f"{folder}: cannot create the folder: {reason}. Fix: choose another folder with --run-dir"
        ) from error
    return missing


def check_writable(folder: Path) -> None:
    """Check that a folder can be created. Folders created for the check are removed.

    Raises:
        ResourceError: The folder cannot be created.
    """
    for created in create_run_folder(folder):
        with suppress(OSError):  # Another run may have started in it.
            created.rmdir()


def hold_folder(run: RunState, *, create: bool = False) -> None:
    """Lock the folder of a run against other runs, until the run has trained or is dropped.

    Every process must call this; rank 0 locks. Runs of one process may be loaded from the same folder, but only one can
    train. A folder that does not exist or cannot be written is not locked.

    Args:
        create: Whether to create the folder, so that it is locked in any case.

    Raises:
        ResourceError: Another process has locked the folder, another run of this process trains in it, or it cannot be
            created.
        ResourceError: With `create`: the file system cannot keep checkpoints, there is no room for them, or a process
            has another folder than rank 0.
        CheckpointError: Another run has saved a checkpoint in the folder since this one was loaded.
    """

    def hold() -> None:
        if create:
            create_run_folder(run.folder)
            check_file_system(run.folder)
            check_room(run)
        _hold(run)

    by_main(hold)
    if create and run.is_kept:
        _require_shared(run)


def _require_shared(run: RunState) -> None:
    """Check that all processes find the lock of rank 0 in the run folder, as they read checkpoints from it.

    Raises:
        ResourceError: A process has another folder.
    """
    written = by_main(lambda: run.lock.content if run.lock is not None else b"")

    def find() -> None:
        deadline = time.monotonic() + SHARED_AFTER_S
        while written and not ranks.is_main() and read_lock(run.folder) != written:
            if time.monotonic() > deadline:
                raise ResourceError(
                    f"rank {ranks.rank()}: {run.folder} on {socket.gethostname()} is not the folder that rank 0 writes "
                    "to. Fix: put the run folder on a disk that all machines share, and give all the same --run-dir"
                )
            time.sleep(0.1)

    together(find)


def write_config_files(run: RunState) -> None:
    """Write the config file to the run folder, as given, resolved and drawn, and how the run was started."""
    remove_leftovers(run.folder)
    for name, text in run.config_texts.items():
        write_file(run.folder / name, text.encode())
    record_start(run)


def lock_early(folder: Path, note: Callable[[str], object]) -> RunLock | None:
    """The lock of a folder, before its run is built, to refuse a second run at once. None: several processes."""
    return _lock(folder, note) if ranks.launched_processes() == 1 else None


def check_folder(run: RunState) -> None:
    """Report that the folder of a run that trains was moved or deleted. Fast: reads no file unless it was.

    Then a new folder of the same name is locked, where checkpoints are written from now on.

    Raises:
        ResourceError: Another process has locked the folder, since this one was stopped for too long.
    """
    if run.lock is None or not run.lock.is_lost:
        return
    if taker := run.lock.taker():
        raise ResourceError(f"{run.folder}: {taker}, has taken over the folder while this process did not respond")
    run.note(
        f"warning: {run.folder}: the run folder was moved or deleted while the run trains. Checkpoints are written to "
        "a new folder of this name"
    )
    create_run_folder(run.folder)
    run.lock = lock_folder(run.folder)
    run.lock.is_training = True
    write_config_files(run)


def release_folder(run: RunState) -> None:
    """Let other runs use the folder of a run that has trained."""
    run.known_checkpoints = run.store.numbers()
    run.lock = None


def _hold(run: RunState) -> None:
    run.lock = run.lock or _lock(run.folder, run.note)
    if run.lock is not None and run.lock.is_training:
        raise ResourceError(f"{run.folder}: in use by another run of this process")
    if run.known_checkpoints is None:
        run.known_checkpoints = run.store.numbers()
    if set(run.store.numbers()).difference(run.known_checkpoints):
        raise CheckpointError(
            f"{run.folder}: another run has trained in it since this one was loaded. Fix: load the run again"
        )


def check_own(folder: Path) -> None:
    """Check that a run may write in a folder. Other files and folders in it are left alone.

    Raises:
        CheckpointError: A file that a run writes exists and is not that of a run, or is a link, or a folder, or there
            is a file in place of a folder.
    """
    for name in (*FILES, *FOLDERS, LOCK_FILE):
        for path in (folder / name, *_entries(folder / name)):
            if path.is_symlink() and (name != CHECKPOINTS or _is_newer(path)):
                raise CheckpointError(
                    f"{path}: is a link, and a run does not write through links. "
                    "Fix: replace it by what it points to, or choose another folder with --run-dir"
                )
    for name in (*FILES, LOCK_FILE, CHECKPOINTS):
        path, is_folder = folder / name, name == CHECKPOINTS
        if exists(path) and not (is_dir(path) if is_folder else is_file(path)):
            raise CheckpointError(
                f"{path}: expected a {'folder' if is_folder else 'file'}, which a run writes. "
                "Fix: move it elsewhere, or choose another folder with --run-dir"
            )
    if is_foreign(folder):
        raise CheckpointError(
            f"{folder / LOCK_FILE}: no run has written it. "
            "Fix: move it elsewhere, or choose another folder with --run-dir"
        )
    found = [name for name in FILES if is_file(folder / name)]
    found += [name for name in FOLDERS if _entries(folder / name)]
    if found and read_origin(folder) is None and not CheckpointStore(folder / CHECKPOINTS).all_numbers():
        raise CheckpointError(
            f"{folder}: already has {', '.join(found)}, which no run has written. "
            "Fix: move them elsewhere, or choose another folder with --run-dir"
        )


def _is_newer(path: Path) -> bool:
    """Whether a link has the name of a checkpoint that a run in its folder has yet to write."""
    numbers = CheckpointStore(path.parent).all_numbers()
    return path.name.isdecimal() and int(path.name) > max(numbers, default=0)


def _entries(path: Path) -> list[Path]:
    return sorted(path.iterdir()) if is_dir(path) else []


def _note_others(folder: Path, note: Callable[[str], object]) -> None:
    """Report what is in a folder in which a run is about to begin, which may be another folder than was meant."""
    others = sorted(path.name for path in _entries(folder) if path.name != LOCK_FILE)
    if others and read_origin(folder) is None and not CheckpointStore(folder / CHECKPOINTS).all_numbers():
        more = f" and {len(others) - MOST_NAMED} more" if len(others) > MOST_NAMED else ""
        note(
            f"warning: {folder}: no run has trained in this folder, but it has {', '.join(others[:MOST_NAMED])}{more}, "
            "which the run leaves as they are. Fix: to keep them apart, name a new folder with --run-dir"
        )


def _lock(folder: Path, note: Callable[[str], object]) -> RunLock | None:
    check_own(folder)
    _note_others(folder, note)
    return lock_folder(folder, note) if is_dir(folder) and os.access(folder, os.W_OK) else None
