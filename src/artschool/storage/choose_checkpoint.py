"""The checkpoint of a run that a user names: the best one, the last one, or one by its number or folder."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from artschool.errors import CheckpointError
from artschool.paths import explained_relative, is_dir, is_file
from artschool.storage.checkpoint_files import MANIFEST, read_state, verify
from artschool.storage.checkpoint_store import CheckpointStore

Report = Callable[[str], None]


def choose_checkpoint(folder: Path, checkpoint: str | int | Path, report: Report = lambda message: None) -> Path:
    """The folder of a checkpoint, verified.

    Args:
        folder: The run folder.
        checkpoint: `last`: the newest intact checkpoint. `best`: the best one by `checkpoint.keep_best`. A number of
            iterations, or the folder of a checkpoint.
        report: Called with messages, such as that a damaged checkpoint is skipped.

    Raises:
        CheckpointError: There is no such checkpoint, or it is damaged.
    """
    store = CheckpointStore(folder / "checkpoints")
    text = str(checkpoint)
    if not is_dir(folder):
        raise CheckpointError(f"{folder}: run folder does not exist{explained_relative(folder)}")
    if text in ("last", "best"):
        newest = store.newest_valid(report)
        if newest is None:
            raise CheckpointError(f"{folder}: no intact checkpoint. Fix: train first")
        return store.path(newest) if text == "last" else _best(folder, store, newest)
    if text.isdigit():
        store.verify(int(text))
        return store.path(int(text))
    path = Path(text)
    if not is_file(path / MANIFEST):
        raise CheckpointError(
            f"checkpoint: expected best, last, a number of iterations or the folder of a checkpoint, got {text!r}"
        )
    verify(path)
    return path


def _best(folder: Path, store: CheckpointStore, newest: int) -> Path:
    _, state = read_state(store.path(newest))
    best = state.get("best")
    if not best:
        raise CheckpointError(
            f"{folder}: has no best checkpoint. Fix: set `checkpoint.keep_best: {{metric: <evaluation>/<metric>, "
            f"mode: max}}` before training, or choose a checkpoint by its number. "
            f"Available checkpoints: {', '.join(map(str, store.numbers()))}"
        )
    store.verify(int(best[1]))
    return store.path(int(best[1]))
