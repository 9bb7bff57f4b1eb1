"""Reads checkpoints of DL-Art-School: `training_state/<step>.state` and `models/<step>_<network>.pth`."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError
from torch import nn

from artschool import ranks
from artschool.engine.checkpoint_state import Count
from artschool.engine.old_optimizers import OldOptimizer, Slots, take_step
from artschool.engine.optimizer_state import fitting, load
from artschool.engine.pretrained_weights import load_weights
from artschool.engine.resume_report import ResumeReport
from artschool.engine.run_state import RunState
from artschool.engine.update import Update
from artschool.errors import CheckpointError
from artschool.paths import is_file
from artschool.storage.tensors import read_pickled
from artschool.wording.counting import counted

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
    step = state.iter
    models = file.parent.parent / "models"
    trained = {name for part in run.steps for name in part.networks}
    for name, network in run.networks.items():
        if name not in trained and not is_file(models / f"{step}_{name}.pth"):
            continue  # No step trains it, so it still has its pretrained weights.
        load_weights(network, models / f"{step}_{name}.pth", path=f"networks.{name}")
        average = models / f"{step}_{name}_ema.pth"
        for ema in run.emas.values():
            if ema.of == name:
                load_weights(ema.module, average if is_file(average) else models / f"{step}_{name}.pth")
    updates = [
        (part.graph.name, part.update, part.networks)
        for part in run.steps
        if part.update is not None and part.update.owns_optimizer
    ]
    saved = list(state.optimizers)
    for name, update, networks in updates:
        part, location = f"optimizer of steps.{name}", f"{file}: optimizer of step {name!r}"
        if not saved:
            raise CheckpointError(f"{location}: missing: the file has {counted(len(state.optimizers), 'optimizer')}")
        problem = _load_optimizer(update, take_step(saved, networks, location))
        if problem:
            report.start(part, f"starts without state: {problem}")
        else:
            report.keep(part)
        update.scheduled.set_rates(step)
    if saved:
        raise CheckpointError(f"{file}: {counted(len(saved), 'optimizer')} more than the steps of the config file have")
    run.iteration = step + 1
    return report.lines()


class _OldState(BaseModel):
    """What a `.state` file must contain. It may contain more."""

    model_config = ConfigDict(strict=True)
    iter: Count
    optimizers: list[OldOptimizer]


def _read(file: Path) -> _OldState:
    if not is_file(file):
        raise CheckpointError(f"{file}: checkpoint does not exist")
    try:
        state = read_pickled(file)
    except Exception as error:  # A damaged file can raise any exception.
        raise CheckpointError(f"{file}: cannot be read without running code: {error}") from None
    if not isinstance(state, Mapping) or not {"iter", "optimizers"} <= state.keys():
        raise CheckpointError(f"{file}: not a training state of DL-Art-School (expected 'iter' and 'optimizers')")
    try:
        return _OldState.model_validate(dict(state))
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        part = ".".join(map(str, first["loc"]))
        raise CheckpointError(f"{file}: {part}: {first['msg']}") from None


def _load_optimizer(update: Update, slots: Mapping[nn.Parameter, Slots]) -> str:
    """Load what an optimizer keeps for each parameter.

    Returns:
        Why it is not used. Empty: it is.
    """
    used, _, problem = fitting(update, {p: slots[p] for p in update.scheduled.own_parameters}, has_moved=True)
    problem = next((text for text in ranks.gather(problem) if text), "")
    load(update, {} if problem else used, {})
    return problem
