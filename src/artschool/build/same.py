"""What must be the same in all processes of a run, as each of them finds it on its own machine."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

import torch

from artschool import ranks
from artschool.config.structure import Config
from artschool.data.loader import Loader, length_of
from artschool.diff.settings import settings_of
from artschool.engine.run_state import RunState
from artschool.engine.together import require_same
from artschool.engine.unsaved import hashes
from artschool.errors import CheckpointError, ConfigError, DataError
from artschool.release import VERSION


def require_same_file(config: Config) -> None:
    """Compare the files, the plugins and the versions of all processes, before anything else depends on them.

    Values of environment variables may differ if they are text, such as a folder of the machine, and are not printed.

    Raises:
        ConfigError: They differ.
    """
    if ranks.world_size() == 1:
        return
    numbers = json.dumps(_numbers(config.tree.plain()), sort_keys=True)
    require_same(
        {
            "file": config.tree.masked(),
            "numbers and switches of the file": hashlib.sha256(numbers.encode()).hexdigest()[:16],
            "code": {"artschool": VERSION, "torch": torch.__version__, **settings_of(config)["plugins"]},
        },
        lambda problem: ConfigError(f"{problem}\n    Fix: use the same file, code and environment on all machines"),
    )


def require_same_data(loaders: Mapping[str, Loader]) -> None:
    """Compare the numbers of samples.

    Raises:
        DataError: They differ.
    """
    if ranks.world_size() == 1:
        return
    require_same(
        {f"data.{name}": {"samples": length_of(loader.dataset, loader.bad.where)} for name, loader in loaders.items()},
        lambda problem: DataError(f"{problem}\n    Fix: give all machines the same data"),
    )


def require_same_state(run: RunState) -> None:
    """Compare the iterations and the weights with which all processes begin.

    Raises:
        CheckpointError: They differ.
    """
    if ranks.world_size() == 1:
        return
    state = {owner: module.state_dict() for owner, module in run.stateful.items()}
    whole = {owner: {k: v for k, v in named.items() if _is_whole(v)} for owner, named in state.items()}
    require_same(
        {"iteration": run.iteration, "weights": {owner: hashes(tensors) for owner, tensors in whole.items()}},
        lambda problem: CheckpointError(f"{problem}\n    Fix: put the run folder on a disk that all machines share"),
    )


def _is_whole(value: Any) -> bool:
    """Whether a value is a plain tensor of which this process has all elements."""
    is_plain = type(value) in {torch.Tensor, torch.nn.Parameter}
    return is_plain and value.layout == torch.strided and not value.is_meta


def _numbers(value: Any) -> Any:
    """A plain value without its text."""
    if isinstance(value, Mapping):
        return {key: _numbers(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_numbers(item) for item in value]
    return None if isinstance(value, str) else value
