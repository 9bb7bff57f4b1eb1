"""Opens a run folder for use."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import torch

from artschool.build.run import device_of
from artschool.config.origin import CONFIG_FILE, RESOLVED_FILE
from artschool.config.paths import expand_home
from artschool.engine.data_examples import read_data_examples
from artschool.errors import CheckpointError, ConfigError
from artschool.model.model import Model
from artschool.model.modules import Modules
from artschool.read.read import check_file
from artschool.storage.checkpoint_files import MANIFEST, read_state
from artschool.storage.checkpoint_store import CheckpointStore

Report = Callable[[str], None]


def open_run(
    run: str | Path,
    checkpoint: str | int | Path = "last",
    device: str | torch.device = "auto",
    *,
    average: bool = True,
    report: Report = lambda message: None,
) -> Model:
    """Open a trained run for use. No data set is built, and no file of data is read.

    Networks are built when they are first used, on any device and in one process, however they were trained.

    Args:
        run: The run folder, or a file in it.
        checkpoint: `last`: the newest intact checkpoint. `best`: the best one by `checkpoint.keep_best`. A number of
            iterations, or the folder of a checkpoint.
        device: Such as `cpu` or `cuda:1`. `auto`: a GPU if there is one.
        average: Whether moving averages take the place of their networks.
        report: Called with messages, such as that a damaged checkpoint is skipped.

    Raises:
        ConfigError: The folder is not that of a run, or its file has faults.
        CheckpointError: There is no such checkpoint, or it is damaged or does not fit.
    """
    folder = _folder_of(expand_home(Path(run)))
    path = _chosen(folder, checkpoint, report)
    _, state = read_state(path)
    # A file in epochs needs the length of the data, which the checkpoint knows.
    config = check_file(folder / RESOLVED_FILE, announce=report, length=_length(state))
    loaded = CheckpointStore.load_path(path, mapped=True, is_verified=True)
    target = device_of(str(device))
    modules = Modules(config, loaded, target, report)
    return Model(config, folder, loaded.number, modules, read_data_examples(folder), average=average)


def _folder_of(run: Path) -> Path:
    folder = run if run.is_dir() else run.parent
    if not run.exists():
        raise ConfigError(f"{run}: does not exist (expected a run folder)")
    if not (folder / RESOLVED_FILE).is_file():
        raise ConfigError(f"{run}: expected a run folder, got a folder without {RESOLVED_FILE}")
    return folder


def _chosen(folder: Path, checkpoint: str | int | Path, report: Report) -> Path:
    """The folder of a checkpoint, verified."""
    store = CheckpointStore(folder / "checkpoints")
    text = str(checkpoint)
    if text in ("last", "best"):
        newest = store.newest_valid(report)
        if newest is None:
            raise CheckpointError(f"{folder}: no intact checkpoint. Fix: train first")
        return store.path(newest) if text == "last" else _best(folder, store, newest)
    if text.isdigit():
        path = store.path(int(text))
        store.verify(int(text))
        return path
    path = Path(checkpoint)  # type: ignore[arg-type]  # a number is a text of digits
    if not (path / MANIFEST).is_file():
        raise CheckpointError(
            f"--checkpoint: expected best, last, a number of iterations or the folder of a checkpoint, got {text!r}"
        )
    CheckpointStore.verify_path(path)
    return path


def _best(folder: Path, store: CheckpointStore, newest: int) -> Path:
    _, state = read_state(store.path(newest))
    best = state.get("best")
    if not best:
        raise CheckpointError(
            f"{folder}: has no best checkpoint. Fix: set `checkpoint.keep_best: {{metric: <evaluation>/<metric>, "
            f"mode: max}}` in {CONFIG_FILE} before training, or choose a checkpoint by its number. "
            f"Available checkpoints: {', '.join(map(str, store.numbers()))}"
        )
    number = int(best[1])
    store.verify(number)
    return store.path(number)


def _length(state: dict[str, object]) -> int | None:
    data = state.get("data")
    length = data.get("length") if isinstance(data, dict) else None
    return length if isinstance(length, int) else None
