"""Saves and restores a run: everything that the config file and the iteration do not determine, by name.

The state of random generators is not saved: every iteration seeds them from (seed, iteration, rank).
"""

from __future__ import annotations

import copy
import hashlib
import json
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from torch import Tensor

from artschool import ranks
from artschool.config.streams import TRAIN
from artschool.engine.background import copied
from artschool.engine.changed_settings import changes_since
from artschool.engine.checkpoint_state import ANOTHER, checked, inventory, is_of_kind
from artschool.engine.meters import summed
from artschool.engine.module_state import changed_buffers, tensors_of
from artschool.engine.non_finite import find_non_finite
from artschool.engine.optimizer_state import state_of
from artschool.engine.restore_modules import MODULES, OPTIMIZERS, ModuleRestorer
from artschool.engine.restore_optimizers import OptimizerRestorer, describe_optimizer
from artschool.engine.resume_report import ResumeReport, value_at
from artschool.engine.run_folder import check_folder
from artschool.engine.run_state import RunState, samples_after
from artschool.engine.saving import is_in_background, is_sharded, settle, start_write
from artschool.engine.shard_files import Parts, Records, failing_together, has_shards, save_parts, save_with_others
from artschool.engine.train_step import TrainStep
from artschool.engine.update import Update
from artschool.errors import CheckpointError
from artschool.registry.followers import Follower
from artschool.storage.checkpoint_files import SCHEMA
from artschool.storage.checkpoint_store import Checkpoint, Manifest, versions
from artschool.storage.state_json import decode_state, encode_state

PAUSES = (0.0, 1.0, 2.0)
"""Seconds to wait before each try of the last save."""
Meters = list[dict[str, tuple[float, float]]]
"""Of each rank, the numbers since the last log point."""


def save(run: RunState) -> None:
    """Save a checkpoint of the run: now, or in the background, where `settle` waits for it.

    Every process must call this; all of them raise if one fails. A copy of the state is taken before this returns, so
    that the run can train on.

    Raises:
        CheckpointError: A value cannot be saved, or another process failed.
        ResourceError: The disk is full or cannot be written.
        StateError: The code of a network has replaced a parameter that an optimizer moves.
    """
    settle(run)  # Before the copy: there is never more than one.
    run.trained_parameters.check()
    gathered = _gathered_meters(run)
    optimizers = _optimizers(run)
    sharded = is_sharded(run)
    if sharded and run.saver.group is None:
        run.saver.group = ranks.new_group()
    problem = find_non_finite(run)
    with failing_together():
        if run.lock is not None:
            run.lock.touch()
            check_folder(run)
        write = _prepare(run, gathered, optimizers, problem) if sharded or ranks.is_main() else _nothing
    start_write(run, write)


def amend(run: RunState) -> None:
    """Add to the checkpoint of the current iteration what its log point and its evaluations have changed.

    If the checkpoint is still being written in the background, this is done when it is complete. Every process must
    call this. Raises what `save` raises.
    """
    number = run.iteration
    changes: dict[str, Any] = {
        "meters": _gathered_meters(run),
        "best": run.best,
        "pending": run.pending,
        "decisions": _decisions(run),
    }
    rotate = _rotation(run)

    def write() -> None:
        run.store.amend(number, changes)
        rotate()

    start_write(run, write if ranks.is_main() else _nothing)


def save_now(run: RunState) -> None:
    """Save the last finished iteration, unless it is saved already, and wait until it is on the disk.

    There is no later chance, so a disk that refuses is tried a few times. Every process must call this. Raises what
    `save` raises.
    """
    settle(run)
    for pause in PAUSES:
        if run.saved_at == run.iteration:
            return
        time.sleep(pause)
        save(run)
        settle(run)
    if run.saved_at != run.iteration:
        raise run.saver.refusals[-1]


def _prepare(
    run: RunState, meters: Meters, optimizers: dict[str, Any], problem: Callable[[], str]
) -> Callable[[], None]:
    """The write of a checkpoint of the run as it is now, or of the part of this process.

    Args:
        problem: Describes what is NaN or infinite.
    """
    number, rotate = run.iteration, _rotation(run)
    tensors, state = capture(run, meters, optimizers)
    parts = Parts({file: tensors.pop(file) for file in [*tensors] if has_shards(tensors[file])})
    own = tensors if ranks.is_main() else {}
    complete = _nothing
    if is_in_background(run):
        (own, parts.values), complete = copied(own, parts.values)
        state = copy.deepcopy(state)

    def save(others: Callable[[Path], Records] = lambda folder: {}) -> None:
        run.store.save(
            number,
            own,
            state,
            config_hash=hashlib.sha256(json.dumps(run.config, sort_keys=True).encode()).hexdigest(),
            world_size=ranks.launched_processes(),  # Also if the main process saves alone.
            non_finite=(non_finite := problem()),
            others=others,
        )
        if non_finite:
            run.note(f"warning: the checkpoint after {number} iterations is not sound: {non_finite}")

    def write() -> None:
        complete()
        if not ranks.is_main():
            save_parts(run.saver.group, parts)
            return
        if parts.values:
            save_with_others(run.saver.group, parts, save)
        else:
            save()
        rotate()

    return write


def _gathered_meters(run: RunState) -> Meters:
    """The numbers of all processes. Those of the others are unknown if the main process saves alone."""
    gathered = ranks.gather(run.meters.state_dict())
    return gathered + [{}] * (ranks.launched_processes() - len(gathered))


def _rotation(run: RunState) -> Callable[[], object]:
    """The deletion of old checkpoints, or of the state of their optimizers, as far as they are not needed now."""
    section, protected = run.sections.checkpoint, _protected(run)

    def rotate() -> None:
        run.store.rotate(protected, keep_last=None if section.keep_last == "all" else section.keep_last)
        if section.state == "last":
            run.store.thin_out(OPTIMIZERS, protected)

    return rotate


def _nothing() -> None:
    """The write of a process that writes nothing."""


def _protected(run: RunState) -> set[int]:
    numbers = {run.resumed_from, run.best[1] if run.best else None}
    return {number for number in numbers if number is not None}


def capture(
    run: RunState, meters: Meters, optimizers: dict[str, Any]
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
        "meters": meters,
        "samples": run.samples,
        "streams": run.streams.given,
        "data": _data(run),
        "seed": run.sections.seed,
        "world_size": ranks.launched_processes(),
        "config": run.config,
        "built_buffers": _built_buffers(run),
        "left_out": left_out,
        "decisions": _decisions(run),
        "error": run.error or None,
        "pieces": run.context.splitting.pieces if run.context.splitting is not None else {},
        "settings": run.settings,
        "tensors": {stem: inventory(named) for stem, named in tensors.items()},
    }
    return tensors, state


def captured(run: RunState) -> tuple[dict[str, dict[str, Tensor]], dict[str, Any]]:
    """What a checkpoint of a run of one process would contain now. See `capture`."""
    return capture(run, [run.meters.state_dict()], _optimizers(run))


def _decisions(run: RunState) -> dict[str, Any]:
    """The state of what follows a number of the log, with the name of the number, by path."""
    followers = {path: decision.follower for path, decision in run.decisions.items()}
    return {path: {"metric": each.metric, **each.state_dict()} for path, each in followers.items()}


def _restore_decisions(run: RunState, saved: Mapping[str, Any], report: ResumeReport) -> None:
    for path, state in saved.items():
        decision = run.decisions.get(path)
        if decision is not None and decision.follower.metric == state["metric"]:
            _restore_follower(path, decision.follower, state)
        else:
            report.drop(f"state of {path}, which does not follow {state['metric']!r} any more")
    if run.stop_reason:
        run.iterations = run.iteration


def _restore_follower(path: str, follower: Follower, state: Mapping[str, Any]) -> None:
    own = follower.state_dict()
    part = next((name for name in own if name not in state or not is_of_kind(state[name], own[name])), None)
    try:
        if part is not None:
            raise ValueError(f"{part!r} is missing or of another kind")
        follower.load_state_dict(state)
    except Exception as error:  # The class may be that of a plugin.
        raise CheckpointError(f"state of {path}: cannot be restored: {error}. {ANOTHER}") from error


def _data(run: RunState) -> dict[str, Any]:
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


def restore(run: RunState, checkpoint: Checkpoint) -> list[str]:
    """Restore a run from a checkpoint, as far as it fits the config file.

    Returns:
        What has changed since the checkpoint, and what is kept, new and dropped: a line for each. Empty: nothing has.

    Raises:
        CheckpointError: The checkpoint is damaged, or a network does not fit or may have been renamed.
    """
    checkpoint, report = checked(checkpoint), ResumeReport()
    state = checkpoint.state
    if state["error"]:
        report.remark(f"saved after an error: {state['error']}")
    report.changed += map(str, changes_since(run, state))
    report.changed += _changes_of_versions(checkpoint)
    if state["world_size"] != ranks.world_size():
        report.changed.append(f"world_size: {state['world_size']} -> {ranks.world_size()} processes")
    run.streams.go_to(state["streams"])
    report.changed += _changes_of_data(run, state)
    modules = ModuleRestorer(run, checkpoint, report)
    modules.networks()
    modules.averages()
    optimizers = OptimizerRestorer(run, checkpoint, report)
    optimizers.restore(run.steps)
    modules.components()
    run.iteration = run.resumed_from = run.saved_at = state["iteration"]
    run.context.iteration = max(run.iteration - 1, 0)
    run.seconds = state["seconds"]
    run.data_offset, run.rollbacks = state["shift"], state["rollbacks"]
    run.cool_rates()
    run.best = run.saver.best_on_disk = _best(run, state, report)
    run.pending = state["pending"]
    if run.context.splitting is not None:  # A rollback forgets nothing.
        run.context.splitting.pieces = {**state["pieces"], **run.context.splitting.pieces}
    _restore_decisions(run, state["decisions"], report)
    samples = state["samples"]
    run.counted = (run.iteration, _samples_of_earlier_version(run, state) if samples is None else samples)
    run.meters.load_state_dict(_own_numbers(state["meters"]))
    return report.lines()


def restore_networks(run: RunState, checkpoint: Checkpoint) -> None:
    """Restore the networks, moving averages, components and iteration of a run from a checkpoint.

    Raises:
        CheckpointError: A network or average is missing or does not fit.
    """
    checkpoint = checked(checkpoint)
    modules = ModuleRestorer(run, checkpoint, ResumeReport())
    modules.all_or_error()
    modules.components()
    run.iteration = checkpoint.state["iteration"]
    run.context.iteration = max(run.iteration - 1, 0)


def _changes_of_versions(checkpoint: Checkpoint) -> list[str]:
    """A line if other versions saved the checkpoint."""
    then, now = checkpoint.manifest.versions, versions()
    changed = [f"{name} {then.get(name, 'unknown')} -> {text}" for name, text in now.items() if then.get(name) != text]
    return [f"versions: {', '.join(changed)}; the result may differ in some bits"] if changed else []


def _changes_of_data(run: RunState, state: Mapping[str, Any]) -> list[str]:
    """Other numbers of samples than before, a line for each data set."""
    then, now = state["data"], _data(run)
    before = {TRAIN: then, **then["streams"]}
    both = [(before[name], stream) for name, stream in run.streams.by_name.items() if name in before]
    return [
        *(
            f"data.{stream.name}: {known['length']} samples -> {stream.batches.length} samples"
            for known, stream in both
            if known["length"] != stream.batches.length
        ),
        *(
            f"evaluate.{name}: {length} samples -> {now['evaluations'][name]} samples"
            for name, length in then["evaluations"].items()
            if now["evaluations"].get(name, length) != length
        ),
        *(
            f"data.{stream.name}: iteration {state['iteration']} is now in epoch {stream.batches.epoch(stream.given)}, "
            "in an order of its own"
            for known, stream in both
            if (known["length"], known["batch_size"]) != (stream.batches.length, stream.batches.batch_size)
        ),
    ]


def _samples_of_earlier_version(run: RunState, state: Mapping[str, Any]) -> int:
    """The samples up to a checkpoint that does not contain their number, counted with the sizes of its data."""
    batches = run.data.batches.resized(state["data"]["length"], state["data"]["batch_size"])
    return samples_after(state["iteration"], run.sections.train, batches)


def _best(run: RunState, state: Mapping[str, Any], report: ResumeReport) -> tuple[float, int] | None:
    """The best value so far, unless the file compares something else now."""
    if not state["best"]:
        return None
    then, now = value_at(state["config"], "checkpoint", "keep_best"), run.sections.checkpoint.keep_best
    if now is not None and then == {"metric": now.metric, "mode": now.mode}:
        value, number = state["best"]
        return value, number
    report.drop("best value so far; `checkpoint.keep_best` has changed")
    return None


def _own_numbers(of_processes: Sequence[dict[str, tuple[float, float]]]) -> dict[str, tuple[float, float]]:
    """What this process has to log. The main process has the numbers of all if their number has changed."""
    if len(of_processes) == ranks.world_size():
        return of_processes[ranks.rank()]
    return summed(of_processes) if ranks.is_main() else {}


def snapshot(run: RunState) -> Checkpoint:
    """A copy of the run as it is now, in the memory of the CPU. Networks and optimizers must not be divided."""
    tensors, state = capture(run, [{}] * ranks.world_size(), _optimizers(run))
    (copies,), complete = copied(tensors)
    complete()
    # As it is read from a file. What is pending now will have been done.
    state = decode_state(encode_state({**state, "pending": False}))
    manifest = Manifest(SCHEMA, run.iteration, ranks.world_size(), "", {}, "", {})
    return Checkpoint(run.iteration, Path("memory"), copies, state, manifest)


def _optimizers(run: RunState) -> dict[str, Any]:
    """The state of every optimizer by name. The main process also gets the shards of the other processes."""
    state: dict[str, Any] = {}
    for step, update in _owners(run):
        own = state_of(update, step.networks, step.graph.name)
        if update.scheduled.shards is not None:
            moved = {name: value.cpu() if isinstance(value, Tensor) else value for name, value in own.items()}
            own = {name: value for part in ranks.gather_on_main(moved) for name, value in part.items()}
        state |= own
    return state


def _owners(run: RunState) -> list[tuple[TrainStep, Update]]:
    """The steps with an optimizer of their own. Those that share one have no state of it."""
    return [(step, step.update) for step in run.steps if step.update is not None and step.update.owns_optimizer]
