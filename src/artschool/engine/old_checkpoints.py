"""Reads checkpoints of DL-Art-School: `training_state/<step>.state` and `models/<step>_<network>.pth`."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from pydantic import BaseModel, ConfigDict, ValidationError
from torch import nn

from artschool import ranks
from artschool.engine.checkpoint_state import Count
from artschool.engine.optimizer_state import fitting, load
from artschool.engine.optimizers import kinds_of
from artschool.engine.pretrained_weights import load_weights
from artschool.engine.resume_report import ResumeReport
from artschool.engine.run_state import RunState
from artschool.engine.update import Update
from artschool.errors import CheckpointError
from artschool.storage.tensors import read_pickled

STATE_SUFFIX = ".state"


def restore_old(run: RunState, file: Path) -> list[str]:
    """Restore networks, moving averages, optimizers and the iteration from a checkpoint of DL-Art-School.

    DL-Art-School saves after iteration `iter`, counted from 0, so `iter + 1` iterations are finished. It does not save
    the state of data, log numbers or random generators.

    Returns:
        What is kept and new, a line for each. Empty: everything is kept.

    Raises:
        CheckpointError: A file is missing, contains code, or does not fit.
    """
    state, report = _read(file), ResumeReport()
    step = state["iter"]
    models = file.parent.parent / "models"
    trained = {name for part in run.steps for name in part.networks}
    for name, network in run.networks.items():
        if name not in trained and not (models / f"{step}_{name}.pth").is_file():
            continue  # No step trains it, so it still has its pretrained weights.
        load_weights(network, models / f"{step}_{name}.pth", path=f"networks.{name}")
        average = models / f"{step}_{name}_ema.pth"
        for ema in run.emas.values():
            if ema.of == name:
                load_weights(ema.module, average if average.is_file() else models / f"{step}_{name}.pth")
    updates = [
        (part.graph.name, part.update, part.networks)
        for part in run.steps
        if part.update is not None and part.update.owns_optimizer
    ]
    if len(updates) != len(state["optimizers"]):
        raise CheckpointError(
            f"{file}: the number of optimizers does not fit the config file "
            f"(expected {len(updates)}, got {len(state['optimizers'])})"
        )
    for (name, update, networks), saved in zip(updates, state["optimizers"], strict=True):
        part = f"optimizer of steps.{name}"
        problem = _load_optimizer(update, networks, saved, f"{file}: optimizer of step {name!r}")
        if problem:
            report.start(part, f"starts without state: {problem}")
        else:
            report.keep(part)
        update.scheduled.set_rates(step)
    run.iteration = step + 1
    return report.lines()


class _OldGroup(BaseModel):
    model_config = ConfigDict(strict=True)
    params: list[int]


class _OldOptimizer(BaseModel):
    model_config = ConfigDict(strict=True)
    state: dict[int, dict[str, Any]]
    param_groups: list[_OldGroup]


class _OldState(BaseModel):
    """What a `.state` file must contain. It may contain more."""

    model_config = ConfigDict(strict=True)
    iter: Count
    optimizers: list[_OldOptimizer]


def _read(file: Path) -> Mapping[str, Any]:
    if not file.is_file():
        raise CheckpointError(f"{file}: checkpoint does not exist")
    try:
        state = read_pickled(file)
    except Exception as error:  # A damaged file can raise any exception.
        raise CheckpointError(f"{file}: cannot be read without running code: {error}") from None
    if not isinstance(state, Mapping) or not {"iter", "optimizers"} <= state.keys():
        raise CheckpointError(f"{file}: not a training state of DL-Art-School (expected 'iter' and 'optimizers')")
    try:
        _OldState.model_validate(dict(state))
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        part = ".".join(map(str, first["loc"]))
        raise CheckpointError(f"{file}: {part}: {first['msg']}") from None
    return state


def _load_optimizer(update: Update, networks: Mapping[str, nn.Module], saved: Mapping[str, Any], location: str) -> str:
    """Load one optimizer. DL-Art-School numbers parameters by network: weights, then others, both sorted by name.

    Returns:
        Why its state is not used. Empty: it is.
    """
    order = [p for network in networks.values() for p in _in_old_order(network)]
    numbers = [number for group in saved["param_groups"] for number in group["params"]]
    if len(order) != len(numbers):
        raise CheckpointError(f"{location}: wrong number of parameters (expected {len(order)}, got {len(numbers)})")
    slots = dict(zip(order, (saved["state"].get(number, {}) for number in numbers), strict=True))
    for parameter, values in slots.items():
        for slot, value in values.items():
            if isinstance(value, torch.Tensor) and value.dim() and value.shape != parameter.shape:
                shapes = f"expected {tuple(parameter.shape)}, got {tuple(value.shape)}"
                raise CheckpointError(f"{location}: wrong shape of {slot} ({shapes})")
    moved = {parameter: slots[parameter] for parameter in update.scheduled.own_parameters}
    used, _, problem = fitting(update, moved, has_moved=True)
    problem = next((text for text in ranks.gather(problem) if text), "")
    load(update, {} if problem else used, {})
    return problem


def _in_old_order(network: nn.Module) -> list[nn.Parameter]:
    kinds, parameters = kinds_of(network), dict(network.named_parameters())
    names = sorted(parameters, key=lambda name: (kinds[name] != "weight", name))
    return [parameters[name] for name in names]
