"""Saves and restores a run: everything that the config file and the iteration do not determine, by name.

The state of random generators is not saved: every iteration seeds them from (seed, iteration, rank).
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from typing import Any

from torch import Tensor, nn

from artschool import ranks
from artschool.engine.run_state import RunState
from artschool.engine.update import Update
from artschool.errors import CheckpointError
from artschool.storage.checkpoint_store import Checkpoint

# The dot prevents collisions with the names of networks, which cannot contain one.
OPTIMIZERS = "state.optimizers"
MODULES = "state.components"
NOT_SET = object()
"""Value of a key that a config does not have."""


def save(run: RunState) -> None:
    """Write a checkpoint of the run. Every process must call this; all of them raise if the main process fails.

    Raises:
        CheckpointError: A value cannot be saved, or the main process failed.
        ResourceError: The disk is full or cannot be written.
        StateError: The code of a network has replaced a parameter that an optimizer moves.
    """
    run.trained_parameters.check()
    gathered = ranks.gather(run.meters.state_dict())
    optimizers = _optimizers(run)

    def write() -> None:
        tensors, state = capture(run, gathered, optimizers)
        run.store.save(
            run.iteration,
            tensors,
            state,
            config_hash=hashlib.sha256(json.dumps(run.config, sort_keys=True).encode()).hexdigest(),
            world_size=ranks.world_size(),
        )

    _on_main(run, write)
    run.saved_at = run.iteration


def amend(run: RunState) -> None:
    """Add to the checkpoint of the current iteration what its log point and its evaluations have changed.

    Every process must call this. Raises what `save` raises.
    """
    changes = {"meters": ranks.gather(run.meters.state_dict()), "best": run.best, "pending": run.pending}
    _on_main(run, lambda: run.store.amend(run.iteration, changes))


def _on_main(run: RunState, write: Callable[[], None]) -> None:
    """Write to the store and delete old checkpoints, in the main process. All processes raise if it fails."""
    error = ""
    if ranks.is_main():
        try:
            write()
            run.store.rotate(_protected(run), keep_last=run.sections.checkpoint.keep_last)
        except BaseException as failure:
            error = str(failure) or type(failure).__name__
            ranks.gather(error)
            raise
    if error := next((text for text in ranks.gather(error) if text), ""):
        raise CheckpointError(f"rank 0 could not save the checkpoint: {error}")


def _protected(run: RunState) -> set[int]:
    numbers = {run.resumed_from, run.best[1] if run.best else None}
    return {number for number in numbers if number is not None}


def capture(
    run: RunState, meters: list[dict[str, tuple[float, float]]], optimizers: dict[str, Any]
) -> tuple[dict[str, dict[str, Tensor]], dict[str, Any]]:
    """The tensors of a run by file and name, and the rest of its state as plain values."""
    tensors = {name: _tensors(network, f"networks.{name}") for name, network in run.networks.items()}
    tensors |= {f"{name}.ema": _tensors(ema.module, f"ema of {name}") for name, ema in run.emas.items()}
    tensors[MODULES] = {
        f"{path}/{name}": value
        for path, module in run.modules.items()
        for name, value in _tensors(module, path).items()
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
        "optimizer_scalars": scalars,
        "optimizer_tensors": len(tensors[OPTIMIZERS]),
        "meters": meters,
        "data": {"length": run.data.batches.length, "batch_size": run.data.batches.batch_size},
        "seed": run.sections.seed,
        "world_size": ranks.world_size(),
        "config": run.config,
    }
    return tensors, state


def restore(run: RunState, checkpoint: Checkpoint) -> list[str]:
    """Restore the whole state of a run from a checkpoint.

    Returns:
        The differences between the config in the checkpoint and the current one, a line for each.

    Raises:
        CheckpointError: A part is missing or does not fit, or the number of processes differs.
    """
    state = checkpoint.state
    location = f"checkpoint {checkpoint.path}"
    if state["world_size"] != ranks.world_size():
        raise CheckpointError(
            f"{location}: saved by {_processes(state['world_size'])}, but this run has {ranks.world_size()}. "
            f"Fix: start {_processes(state['world_size'])}"
        )
    restore_networks(run, checkpoint)
    optimizers = checkpoint.tensors.get(OPTIMIZERS, {})
    if len(optimizers) != state["optimizer_tensors"]:
        raise CheckpointError(
            f"{location}: incomplete optimizer state (expected {state['optimizer_tensors']} tensors, "
            f"got {len(optimizers)})"
        )
    for step in run.steps:
        if step.update is None:
            continue
        name = step.graph.name
        if name not in state["updates"]:
            raise CheckpointError(f"{location}: no optimizer state for step {name!r}")
        _load_optimizer(step.update, step.networks, name, checkpoint)
        step.update.load_state_dict(state["updates"][name])
        step.update.scheduled.set_rates(max(state["iteration"] - 1, 0))
    run.resumed_from = run.saved_at = state["iteration"]
    run.seconds = state["seconds"]
    run.data_offset, run.rollbacks = state.get("shift", 0), state.get("rollbacks", 0)
    run.best = tuple(state["best"]) if state["best"] else None
    run.pending = state.get("pending", False)
    run.meters.load_state_dict(state["meters"][ranks.rank()])
    return differences(state["config"], run.config)


def restore_networks(run: RunState, checkpoint: Checkpoint) -> None:
    """Restore the networks, moving averages, components and iteration of a run from a checkpoint.

    Raises:
        CheckpointError: A part is missing or does not fit.
    """
    location = f"checkpoint {checkpoint.path}"
    for name, network in run.networks.items():
        _load(network, checkpoint.tensors, name, location)
    for name, ema in run.emas.items():
        _load(ema.module, checkpoint.tensors, f"{name}.ema", location)
    for path, module in run.modules.items():
        kept = checkpoint.tensors.get(MODULES, {})
        own = {name.removeprefix(f"{path}/"): value for name, value in kept.items() if name.startswith(f"{path}/")}
        _load(module, {path: own}, path, location)
    run.iteration = checkpoint.state["iteration"]
    run.context.iteration = max(run.iteration - 1, 0)


def differences(then: Any, now: Any, path: str = "") -> list[str]:
    """The differences between two plain configs, a line for each: `steps.gen.optimizer.lr: 0.001 -> 0.002`."""
    if isinstance(then, Mapping) and isinstance(now, Mapping):
        keys = [*then, *(key for key in now if key not in then)]
        return [
            line
            for key in keys
            for line in differences(then.get(key, NOT_SET), now.get(key, NOT_SET), f"{path}.{key}" if path else key)
        ]
    return [] if then == now else [f"{path}: {_as_text(then)} -> {_as_text(now)}"]


def _as_text(value: Any) -> str:
    return "(not set)" if value is NOT_SET else json.dumps(value)


def _processes(count: int) -> str:
    return f"{count} process{'' if count == 1 else 'es'}"


def _tensors(module: nn.Module, owner: str) -> dict[str, Tensor]:
    state = module.state_dict()
    for name, value in state.items():
        if not isinstance(value, Tensor):
            raise CheckpointError(
                f"{owner}: cannot save {name!r} of its state_dict (expected a tensor, got {type(value).__name__})"
            )
    return state


def _load(module: nn.Module, tensors: Mapping[str, Mapping[str, Tensor]], name: str, location: str) -> None:
    if name not in tensors:
        raise CheckpointError(f"{location}: no weights for {name!r}; the checkpoint belongs to another config file")
    saved, own = tensors[name], module.state_dict()
    for key in sorted(saved.keys() | own.keys()):
        shapes = [tuple(part[key].shape) if key in part else "no tensor" for part in (saved, own)]
        if shapes[0] != shapes[1]:
            raise CheckpointError(
                f"{location}: {name}.{key}: does not fit the config file "
                f"(expected {shapes[1]}, the checkpoint has {shapes[0]})"
            )
    module.load_state_dict(dict(saved))


def _names(update: Update, networks: Mapping[str, nn.Module]) -> dict[nn.Parameter, str]:
    names = {p: f"{net}.{name}" for net, network in networks.items() for name, p in network.named_parameters()}
    return {parameter: names[parameter] for parameter in update.scheduled.own_parameters}


def _optimizers(run: RunState) -> dict[str, Any]:
    """The state of every optimizer by name. The main process also gets the shards of the other processes."""
    state: dict[str, Any] = {}
    for step in run.steps:
        if step.update is None:
            continue
        own = _optimizer_state(step.update, step.networks, step.graph.name)
        if step.update.scheduled.shards is not None:
            moved = {name: value.cpu() if isinstance(value, Tensor) else value for name, value in own.items()}
            own = {name: value for part in ranks.gather_on_main(moved) for name, value in part.items()}
        state |= own
    return state


def _optimizer_state(update: Update, networks: Mapping[str, nn.Module], step: str) -> dict[str, Any]:
    named = {
        f"{name}/{slot}": value
        for parameter, name in _names(update, networks).items()
        for slot, value in update.optimizer.state.get(parameter, {}).items()
    }
    return {f"{step}/{name}": value for name, value in (named | update.scheduled.group_state()).items()}


def _load_optimizer(update: Update, networks: Mapping[str, nn.Module], step: str, checkpoint: Checkpoint) -> None:
    saved = {**checkpoint.tensors[OPTIMIZERS], **checkpoint.state["optimizer_scalars"]}
    names = [f"{step}/{name}" for name in _names(update, networks).values()]
    # torch numbers parameters in the order of the groups, which is the order of `names`; it chooses device and dtype.
    state: dict[int, dict[str, Any]] = {index: {} for index in range(len(names))}
    index_of = {name: index for index, name in enumerate(names)}
    groups = update.optimizer.state_dict()["param_groups"]
    group_of = {f"{step}/group:{index}": group for index, group in enumerate(groups)}
    device = update.parameters[0].device
    for full, value in saved.items():
        owner, _, slot = full.rpartition("/")
        if owner in index_of:
            state[index_of[owner]][slot] = value
        elif owner in group_of:
            group_of[owner][slot] = value.to(device) if isinstance(value, Tensor) else value
    update.optimizer.load_state_dict(
        {"state": {i: slots for i, slots in state.items() if slots}, "param_groups": groups}
    )
