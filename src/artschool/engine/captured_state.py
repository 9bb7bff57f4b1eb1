"""The state of a run: everything that the config file and the iteration do not determine, by name.

The state of random generators is not part of it, only whether iterations draw from those of Python and NumPy: every
iteration seeds what it needs from (seed, iteration, rank). See `IterationSeeding`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from torch import Tensor

from artschool import ranks
from artschool.config.streams import TRAIN
from artschool.engine.background import copied
from artschool.engine.checkpoint_state import inventory
from artschool.engine.module_state import changed_buffers, tensors_of
from artschool.engine.optimizer_state import state_of
from artschool.engine.restore_modules import MODULES, OPTIMIZERS
from artschool.engine.restore_optimizers import describe_optimizer
from artschool.engine.run_state import RunState
from artschool.engine.shard_files import shard_of
from artschool.engine.train_step import TrainStep
from artschool.engine.update import Update
from artschool.storage.checkpoint_files import SCHEMA
from artschool.storage.checkpoint_store import Checkpoint, Manifest
from artschool.storage.state_json import decode_state, encode_state


@dataclass(frozen=True)
class OwnState:
    """What each process has for itself.

    Attributes:
        draws: See `IterationSeeding`.
        meters: Sum and weight of each number since the last log point.
    """

    draws: bool | None
    meters: dict[str, tuple[float, float]] = field(default_factory=dict)


def own_state(run: RunState) -> OwnState:
    """That of this process."""
    return OwnState(run.seeding.draws, run.meters.state_dict())


def capture(
    run: RunState, processes: Sequence[OwnState], optimizers: dict[str, Any]
) -> tuple[dict[str, dict[str, Tensor]], dict[str, Any]]:
    """The tensors of a run by file and name, and the rest of its state as plain values."""
    tensors = {name: tensors_of(network, f"networks.{name}") for name, network in run.networks.items()}
    tensors |= {ema.name: tensors_of(ema.module, f"ema of {ema.of}") for ema in run.emas.values()}
    left_out = {owner: unsaved.take_from(tensors[owner]) for owner, unsaved in run.unsaved.items()}
    tensors = {owner: named for owner, named in tensors.items() if named or owner not in left_out}
    tensors[MODULES] = {
        f"{path}/{name}": value
        for path, module in run.modules.items()
        for name, value in tensors_of(module, path).items()
    }
    tensors[OPTIMIZERS] = {name: value for name, value in optimizers.items() if isinstance(value, Tensor)}
    scalars = {name: value for name, value in optimizers.items() if not isinstance(value, Tensor)}
    updates = {step.graph.name: step.update.state_dict() for step in run.steps if step.update is not None}
    state = {
        "iteration": run.iteration,
        "iterations": run.iterations,
        "seconds": run.seconds,
        "shift": run.data_offset,
        "rollbacks": run.rollbacks,
        "best": run.best,
        "pending": run.pending,
        "updates": updates,
        "optimizers": {step.graph.name: describe_optimizer(step, update) for step, update in _owners(run)},
        "optimizer_scalars": scalars,
        "optimizer_tensors": len(tensors[OPTIMIZERS]),
        "meters": [own.meters for own in processes],
        "draws": [own.draws for own in processes],
        "samples": run.samples,
        "streams": run.streams.given,
        "data": data_sizes(run),
        "seed": run.sections.seed,
        "world_size": ranks.launched_processes(),
        "config": run.config,
        "built_buffers": _built_buffers(run),
        "left_out": left_out,
        "decisions": decisions_of(run),
        "error": run.error or None,
        "pieces": run.context.splitting.pieces if run.context.splitting is not None else {},
        "settings": run.settings,
        "tensors": {stem: inventory(named) for stem, named in tensors.items()},
    }
    return tensors, state


def captured(run: RunState) -> tuple[dict[str, dict[str, Tensor]], dict[str, Any]]:
    """What a checkpoint of a run of one process would contain now. See `capture`."""
    return capture(run, [own_state(run)], optimizers_of(run))


def snapshot(run: RunState) -> Checkpoint:
    """A copy of the run as it is now, in the memory of the CPU. Of what is divided, a process has its own part only."""
    own = OwnState(run.seeding.draws)
    tensors, state = capture(run, [own] * ranks.world_size(), _own_optimizers(run))
    (copies,), complete = copied({file: {k: ranks.local(v) for k, v in own.items()} for file, own in tensors.items()})
    complete()
    shards = {
        file: {name: shard_of(value, copies[file].pop(name)) for name, value in own.items() if ranks.is_sharded(value)}
        for file, own in tensors.items()
    }
    # As it is read from a file. What is pending now will have been done.
    state = decode_state(encode_state({**state, "pending": False}))
    manifest = Manifest(SCHEMA, run.iteration, ranks.world_size(), "", {}, "", {})
    return Checkpoint(run.iteration, Path("memory"), copies, state, manifest, shards)


def decisions_of(run: RunState) -> dict[str, Any]:
    """The state of what follows a number of the log, with the name of the number, by path."""
    followers = {path: decision.follower for path, decision in run.decisions.items()}
    return {path: {"metric": each.metric, **each.state_dict()} for path, each in followers.items()}


def data_sizes(run: RunState) -> dict[str, Any]:
    """The sizes of the data sets, which a resume compares."""
    sizes = {
        name: {"length": stream.batches.length, "batch_size": stream.batches.batch_size}
        for name, stream in run.streams.by_name.items()
    }
    evaluations = {evaluation.name: evaluation.batches.length for evaluation in run.evaluations}
    return {**sizes.pop(TRAIN), "evaluations": evaluations, "streams": sizes}


def _built_buffers(run: RunState) -> dict[str, Any]:
    """Shape and dtype that buffers had when the run was built, for those that have changed since, by owner."""
    changed = {owner: changed_buffers(module, run.built_buffers[owner]) for owner, module in run.stateful.items()}
    return {owner: buffers for owner, buffers in changed.items() if buffers}


def optimizers_of(run: RunState) -> dict[str, Any]:
    """The state of every optimizer by name. The main process also gets the shards of the other processes."""
    state: dict[str, Any] = {}
    for step, update in _owners(run):
        own = state_of(update, step.networks, step.graph.name)
        if update.scheduled.shards is not None:
            moved = {name: value.cpu() if isinstance(value, Tensor) else value for name, value in own.items()}
            own = {name: value for part in ranks.gather_on_main(moved) for name, value in part.items()}
        state |= own
    return state


def _own_optimizers(run: RunState) -> dict[str, Any]:
    """The state of every optimizer by name, as far as this process has it."""
    return {k: v for step, update in _owners(run) for k, v in state_of(update, step.networks, step.graph.name).items()}


def _owners(run: RunState) -> list[tuple[TrainStep, Update]]:
    """The steps with an optimizer of their own. Those that share one have no state of it."""
    return [(step, step.update) for step in run.steps if step.update is not None and step.update.owns_optimizer]
