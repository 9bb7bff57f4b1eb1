"""Checkpoints of DL-Art-School: `training_state/<step>.state` beside `models/<step>_<network>.pth`."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import nn

from artschool.engine.optimizers import kinds_of
from artschool.engine.pretrained_weights import load_weights
from artschool.engine.run_state import RunState
from artschool.engine.update import Update
from artschool.errors import CheckpointError

STATE_SUFFIX = ".state"


def restore_old(run: RunState, file: Path) -> None:
    """Put a run where a checkpoint of the reference ends: networks, moving averages, optimizers and the iteration.

    The reference saved after iteration `iter`, counted from 0, so that one more than that are finished. It kept no
    state of data, numbers or random generators.

    Raises:
        CheckpointError: A file is missing, holds more than data, or does not fit.
    """
    state = _read(file)
    step = state["iter"]
    models = file.parent.parent / "models"
    trained = {name for part in run.steps for name in part.networks}
    for name, network in run.networks.items():
        if name not in trained and not (models / f"{step}_{name}.pth").is_file():
            continue  # It has its own weights, which nothing has changed.
        load_weights(network, models / f"{step}_{name}.pth", path=f"networks.{name}")
        average = models / f"{step}_{name}_ema.pth"
        if name in run.emas:
            load_weights(run.emas[name].module, average if average.is_file() else models / f"{step}_{name}.pth")
    updates = [(part.graph.name, part.update, part.networks) for part in run.steps if part.update is not None]
    if len(updates) != len(state["optimizers"]):
        raise CheckpointError(
            f"{file} has {len(state['optimizers'])} optimizers, the file has {len(updates)} steps with one"
        )
    for (name, update, networks), saved in zip(updates, state["optimizers"], strict=True):
        _load_optimizer(update, networks, saved, f"{file}: optimizer of step {name!r}")
        update.scheduled.set_rates(step)
    run.iteration = step + 1


def _read(file: Path) -> Mapping[str, Any]:
    if not file.is_file():
        raise CheckpointError(f"there is no checkpoint {file}")
    try:
        state = torch.load(file, map_location="cpu", weights_only=True)
    except Exception as error:  # A damaged file may raise anything at all.
        raise CheckpointError(f"{file} cannot be read as data alone: {error}") from None
    if not isinstance(state, Mapping) or not {"iter", "optimizers"} <= state.keys():
        raise CheckpointError(f"{file} is no training state of DL-Art-School: it has no 'iter' and 'optimizers'")
    return state


def _load_optimizer(update: Update, networks: Mapping[str, nn.Module], saved: Mapping[str, Any], where: str) -> None:
    """The reference numbered parameters network by network, weights before the rest, each sorted by name."""
    order = [p for network in networks.values() for p in _in_old_order(network)]
    numbers = [number for group in saved["param_groups"] for number in group["params"]]
    if len(order) != len(numbers):
        raise CheckpointError(f"{where} has {len(numbers)} parameters, the networks have {len(order)}")
    slots = dict(zip(order, (saved["state"].get(number, {}) for number in numbers), strict=True))
    for parameter, values in slots.items():
        for slot, value in values.items():
            if isinstance(value, torch.Tensor) and value.dim() and value.shape != parameter.shape:
                shapes = f"{tuple(value.shape)} for a parameter of {tuple(parameter.shape)}"
                raise CheckpointError(f"{where} does not fit: {slot} is {shapes}")
    own = update.optimizer.state_dict()
    state = {
        index: slots[parameter] for index, parameter in enumerate(update.scheduled.own_parameters) if slots[parameter]
    }
    update.optimizer.load_state_dict({"state": state, "param_groups": own["param_groups"]})


def _in_old_order(network: nn.Module) -> list[nn.Parameter]:
    kinds, parameters = kinds_of(network), dict(network.named_parameters())
    names = sorted(parameters, key=lambda name: (kinds[name] != "weight", name))
    return [parameters[name] for name in names]
