"""How much room checkpoints take on the disk, before any is written."""

from __future__ import annotations

import shutil
from pathlib import Path

from torch import Tensor

from artschool import ranks
from artschool.config.report_sections import CheckpointSection
from artschool.engine.optimizer_state import needed_slots
from artschool.engine.run_state import RunState
from artschool.engine.update import Update
from artschool.errors import ResourceError
from artschool.paths import is_dir


def check_room(run: RunState) -> None:
    """Compare the checkpoints that a run is going to keep with the free space of its disk.

    Raises:
        ResourceError: They do not fit.
    """
    size = checkpoint_bytes(run) + sum(
        optimizer_bytes(step.update) for step in run.steps if step.update is not None and step.update.owns_optimizer
    )
    kept = checkpoints_kept(run.sections.checkpoint, run.iterations)
    count = max(kept - len(run.store.numbers()), 1)  # A new one is complete before an old one is deleted.
    free = free_bytes(run.folder)
    if count * size > free:
        number = "1 checkpoint takes" if count == 1 else f"{count} checkpoints take"
        raise ResourceError(
            f"{run.folder}: {number} {in_bytes(count * size)}, but only {in_bytes(free)} are free. "
            "Fix: lower `checkpoint.keep_last`, or choose another folder with --run-dir"
        )


def checkpoint_bytes(run: RunState) -> int:
    """Bytes of a checkpoint of a run, without the state of its optimizers."""
    left_out = {id(parameter) for name in run.partly_saved for parameter in run.networks[name].parameters()}
    left_out -= {id(parameter) for step in run.steps if step.update for parameter in step.update.parameters}
    total = 0
    averaged = {ema.name: ema.of for ema in run.emas.values()}
    for owner, module in run.stateful.items():
        network = run.networks.get(averaged.get(owner, owner), module)
        names = {n for n, p in network.named_parameters(remove_duplicate=False) if id(p) in left_out}
        values = {name: value for name, value in module.state_dict().items() if name not in names}
        total += sum(value.nbytes for value in values.values() if isinstance(value, Tensor))
    return total


def optimizer_bytes(update: Update) -> int:
    """About as many bytes as the state of an optimizer of torch takes. Of others, and of sharded parameters, 0.

    State is proportional to the parameter, so the first step is tried on the smallest one of each number of dimensions.
    """
    total = 0.0
    optimizer = update.optimizer
    if not type(optimizer).__module__.startswith("torch.optim") or any(map(ranks.is_sharded, update.parameters)):
        return 0
    for group in optimizer.param_groups:
        for dim in {p.dim() for p in group["params"] if p.numel()}:
            same = [p for p in group["params"] if p.dim() == dim and p.numel()]
            smallest = min(same, key=Tensor.numel)
            slots = (needed_slots(optimizer, smallest) or {}).values()
            taken = sum(slot.nbytes for slot in slots if isinstance(slot, Tensor) and slot.dim())
            total += taken / smallest.nbytes * sum(p.nbytes for p in same)
    shards = update.scheduled.shards
    return int(total * (1 if shards is None else len(shards)))


def checkpoints_kept(section: CheckpointSection, iterations: int) -> int:
    """How many checkpoints are on disk at once; a new one is complete before the oldest is deleted."""
    saves = -(-iterations // section.every) if section.every else 1
    if section.keep_last == "all":
        return saves
    return min(saves, section.keep_last + (section.keep_best is not None) + 1)


def free_bytes(folder: Path) -> int:
    """Free bytes on the disk of a folder, which need not exist."""
    folder = folder.absolute()
    existing = next(parent for parent in (folder, *folder.parents) if is_dir(parent))
    return shutil.disk_usage(existing).free


def in_bytes(number: float) -> str:
    """A number of bytes with its unit: `28.9 MB`."""
    if number < 1000:
        return f"{number:.0f} bytes"
    for unit in ("kB", "MB", "GB"):
        number /= 1000
        if number < 999.5:
            return f"{number:.3g} {unit}"
    return f"{number / 1000:,.3g} TB"
