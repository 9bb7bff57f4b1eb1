"""Restores a run from a checkpoint, and describes what has changed since."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from artschool import ranks
from artschool.config.streams import TRAIN
from artschool.engine.captured_state import data_sizes
from artschool.engine.changed_settings import changes_since
from artschool.engine.checkpoint_state import ANOTHER, checked, is_of_kind
from artschool.engine.meters import summed
from artschool.engine.restore_modules import ModuleRestorer
from artschool.engine.restore_optimizers import OptimizerRestorer
from artschool.engine.resume_report import ResumeReport, value_at
from artschool.engine.run_state import RunState
from artschool.engine.sample_count import samples_after
from artschool.errors import CheckpointError
from artschool.registry.followers import Follower
from artschool.release import versions
from artschool.storage.checkpoint_store import Checkpoint


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
    run.seeding.draws = _own_draws(state["draws"])
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


def _changes_of_versions(checkpoint: Checkpoint) -> list[str]:
    """A line if other versions saved the checkpoint."""
    then, now = checkpoint.manifest.versions, versions()
    changed = [f"{name} {then.get(name, 'unknown')} -> {text}" for name, text in now.items() if then.get(name) != text]
    return [f"versions: {', '.join(changed)}; the result may differ in some bits"] if changed else []


def _changes_of_data(run: RunState, state: Mapping[str, Any]) -> list[str]:
    """Other numbers of samples than before, a line for each data set."""
    then, now = state["data"], data_sizes(run)
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


def _own_draws(of_processes: Sequence[bool | None] | None) -> bool | None:
    """Whether iterations of this process draw from generators of Python or NumPy. True if nobody knows."""
    if of_processes is None or len(of_processes) != ranks.world_size():
        return True
    return of_processes[ranks.rank()]


def _own_numbers(of_processes: Sequence[dict[str, tuple[float, float]]]) -> dict[str, tuple[float, float]]:
    """What this process has to log. The main process has the numbers of all if their number has changed."""
    if len(of_processes) == ranks.world_size():
        return of_processes[ranks.rank()]
    return summed(of_processes) if ranks.is_main() else {}
