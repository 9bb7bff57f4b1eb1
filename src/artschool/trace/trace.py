"""Run every step of a checked file on tensors without values: shapes, gradients and memory, before anything starts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from dataclasses import replace
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch
from torch import Tensor
from torch.nn.parameter import is_lazy

from artschool import ranks
from artschool.build.data import build_data
from artschool.build.run import build
from artschool.config.structure import Config
from artschool.data.loader import Loader
from artschool.data.seeds import derive, forked_rng
from artschool.engine.run import Run
from artschool.errors import ConfigError, DataError, Fault
from artschool.read.check import in_reading_order
from artschool.registry.entries import DatasetEntry
from artschool.trace.child_process import in_child_process
from artschool.trace.evaluations import Evaluated, trace_evaluations
from artschool.trace.fake import fake_tensors, needs_values
from artschool.trace.memory import OPTIMIZER
from artschool.trace.observe import Untraceable
from artschool.trace.report import Trace
from artschool.trace.training import TrainingTrace
from artschool.trace.untrained import undrawable, untrained

NOTHING: Evaluated = {}, [], []
NOT_EVALUATED: Evaluated = {}, ["evaluations were not traced: for real they may take as long as training"], []
MOST_SAMPLES = 32
"""So many samples are loaded to see their shapes; a larger batch repeats them."""


class _NeedsValues(Exception):  # noqa: N818  # nothing went wrong
    """Training has to run for real: why, and what evaluations gave without values."""

    def __init__(self, reason: str, evaluated: Evaluated) -> None:
        super().__init__(reason)
        self.evaluated = evaluated


def trace(config: Config) -> Trace:
    """Run each regime of a checked file once, without values, or for real where something needs them.

    Nothing is written, and random numbers are afterwards as before.

    Raises:
        ConfigError: With every fault that was found.
        DataError: A batch cannot be loaded. With `data.x.example` none is.
    """
    world_size = ranks.launched_processes()
    with forked_rng(derive(config.sections.seed, "trace"), torch.device("cpu")), ranks.single_process():
        loaders = _loaders(config)
        batches = {name: loader.first(min(MOST_SAMPLES, _batch_size(config, name))) for name, loader in loaders.items()}
        try:
            return _traced(config, loaders, batches, world_size)
        except _NeedsValues as error:
            reason, evaluated = str(error), error.evaluated
        found = _traced(config, loaders, batches, world_size, evaluated)
        found.notes.insert(0, f"{reason}, so micro-batches ran for real instead")
        return found


def _traced(
    config: Config,
    loaders: Mapping[str, Loader],
    batches: Mapping[str, Mapping[str, Any]],
    world_size: int,
    known: Evaluated | None = None,
) -> Trace:
    """Without values; for real where what evaluations give is known."""
    real = known is not None
    with TemporaryDirectory() as folder, nullcontext(nullcontext()) if real else fake_tensors() as copying:
        with copying:
            run = _built(config, Path(folder), loaders, real=real)
        _refuse_lazy(config, run)
        training = TrainingTrace(config, run, batches["train"], world_size, real=real)
        evaluate = partial(trace_evaluations, config, run, batches, training.observer)
        with (
            in_child_process(evaluate)
            if run.evaluations and not known
            else nullcontext(lambda: known or NOTHING) as evaluated
        ):
            try:
                with torch.autograd.set_detect_anomaly(real and config.sections.train.detect_anomaly):
                    training.run_regimes()
            except Untraceable as error:
                raise _NeedsValues(str(error), evaluated()) from error
            faults = training.faults
            if not faults:
                faults = [*untrained(config, training), *undrawable(config, training.observer.keys)]
            evaluations, notes, more = evaluated()
        # Training first, so that an evaluation is told of only where it adds something.
        if faults := [*in_reading_order(faults), *more]:
            raise ConfigError(_each_cause_once(faults))
        return Trace(
            regimes=training.iterations,
            keys=training.observer.keys,
            evaluations=evaluations,
            reached=training.observer.gradients.reached,
            networks=run.networks,
            memory=training.memory,
            checkpoint=_checkpoint_bytes(run) + training.memory.lasting[OPTIMIZER],
            kept=_checkpoints_kept(config, run.iterations),
            real=real,
            notes=[*training.notes, *notes],
        )


def _loaders(config: Config) -> dict[str, Loader]:
    try:
        return build_data(config, examples=True)
    except DataError as error:
        error.add_note("With `example:`, which says what a sample of a data set holds, a trace needs no data.")
        raise


def _built(config: Config, folder: Path, loaders: Mapping[str, Loader], *, real: bool) -> Run:
    try:
        return build(config, folder, device=None if real else torch.device("cpu"), loaders=loaders)
    except Exception as error:
        if real or not needs_values(error):
            raise
        reason = "a network or component looks at the values of tensors when it is built"
        raise _NeedsValues(reason, NOT_EVALUATED if config.evaluations else NOTHING) from error


def _refuse_lazy(config: Config, run: Run) -> None:
    for name, network in run.networks.items():
        if any(is_lazy(parameter) for parameter in network.parameters()):
            message = "has lazy modules, whose shapes only the first batch tells, so it cannot be traced"
            hint = "Give them their sizes, or train with --no-trace."
            raise ConfigError(Fault(config.networks[name].node.place, f"networks.{name}", message, hint))


def _batch_size(config: Config, name: str) -> int:
    entry = config.data[name].entry
    assert isinstance(entry, DatasetEntry)
    return entry.batch_size


def _each_cause_once(faults: Sequence[Fault]) -> list[Fault]:
    """In reading order the first fault of each cause, with the places of the others."""
    placed: dict[object, Fault] = {}
    for fault in faults:  # Several regimes may show what is wrong at a place.
        placed.setdefault((fault.place, fault.path), fault)
    causes: dict[object, list[Fault]] = {}
    for place, fault in placed.items():
        causes.setdefault(fault.cause or place, []).append(fault)
    return in_reading_order(_with_places(*alike) for alike in causes.values())


def _with_places(fault: Fault, *others: Fault) -> Fault:
    if not others:
        return fault
    *most, last = [f"{other.path} ({other.place})" for other in others]
    same = f"The same at {', '.join(most)} and {last}." if most else f"The same at {last}."
    return replace(fault, hint="\n".join(line for line in (fault.hint, same) if line))


def _checkpoint_bytes(run: Run) -> int:
    modules = [*run.networks.values(), *(ema.module for ema in run.emas.values()), *run.modules.values()]
    return sum(v.nbytes for module in modules for v in module.state_dict().values() if isinstance(v, Tensor))


def _checkpoints_kept(config: Config, iterations: int) -> int:
    """How many checkpoints are on disk at once; a new one is complete before the oldest goes."""
    section = config.sections.checkpoint
    saves = -(-iterations // section.every) if section.every else 1
    return min(saves, section.keep_last + (section.keep_best is not None) + 1)
