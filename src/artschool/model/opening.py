"""Opens a run folder, or a file that names weights, for use."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import torch

from artschool.build.device import device_of
from artschool.config.origin import RESOLVED_FILE
from artschool.config.paths import expand_home
from artschool.engine.checkpoint_state import length_of_data
from artschool.engine.data_examples import DataExamples, read_data_examples
from artschool.errors import ConfigError
from artschool.model.model import Model
from artschool.model.modules import Modules
from artschool.paths import exists, is_dir, is_file
from artschool.read.read import check_file
from artschool.storage import checkpoint_files
from artschool.storage.checkpoint_files import Checkpoint
from artschool.storage.checkpoint_folders import CheckpointFolders, retry_while_changing
from artschool.storage.choose_checkpoint import choose_checkpoint

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
        run: The run folder, or a file in it. A config file elsewhere: its networks have the weights that their
            `weights:` name.
        checkpoint: `last`: the newest intact checkpoint. `best`: the best one by `checkpoint.keep_best`. A number of
            iterations, or the folder of a checkpoint.
        device: Such as `cpu` or `cuda:1`. `auto`: a GPU if there is one.
        average: Whether moving averages take the place of their networks.
        report: Called with messages, such as that a damaged checkpoint is skipped.

    Raises:
        ConfigError: The folder is not that of a run, or the file has faults.
        CheckpointError: There is no such checkpoint, or it is damaged or does not fit.
    """
    run = expand_home(Path(run))
    target = device_of(str(device))
    if is_file(run) and not is_file(run.parent / RESOLVED_FILE):
        if checkpoint != "last":
            raise ConfigError(f"{run}: is a config file, which has no checkpoint {str(checkpoint)!r}")
        config = check_file(run, announce=report)
        return Model(config, run, 0, Modules(config, None, target, report), DataExamples(), average=average)
    folder = _folder_of(run)
    loaded, length = _chosen(folder, checkpoint, report)
    # A file in epochs needs the length of the data, which the checkpoint knows.
    config = check_file(folder / RESOLVED_FILE, announce=report, length=length)
    modules = Modules(config, loaded, target, report)
    return Model(config, folder, loaded.number, modules, read_data_examples(folder), average=average)


def _chosen(folder: Path, checkpoint: str | int | Path, report: Report) -> tuple[Checkpoint, int | None]:
    """The checkpoint, mapped into memory, and the length of its data.

    A training that goes on deletes old checkpoints. If that strikes the chosen one, the choice is made again.
    """
    folders = CheckpointFolders(folder / "checkpoints")
    return retry_while_changing(folders.listing, lambda: _mapped(choose_checkpoint(folder, checkpoint, report)))


def _mapped(path: Path) -> tuple[Checkpoint, int | None]:
    return checkpoint_files.load(path, mapped=True, is_verified=True), length_of_data(path)


def _folder_of(run: Path) -> Path:
    folder = run if is_dir(run) else run.parent
    if not exists(run):
        raise ConfigError(f"{run}: does not exist (expected a run folder, or a file that names weights)")
    if not is_file(folder / RESOLVED_FILE):
        raise ConfigError(f"{run}: expected a run folder, got a folder without {RESOLVED_FILE}")
    return folder
