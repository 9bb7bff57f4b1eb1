"""The state of an optimizer by name: `<step>/<network>.<parameter>/<slot>` and `<step>/group:<index>/<option>`."""

from __future__ import annotations

import copy
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.utils._python_dispatch import is_traceable_wrapper_subclass

from artschool import ranks
from artschool.engine.checkpoint_state import is_of_kind
from artschool.engine.optimizers import start_momentum
from artschool.engine.shard_files import shard_like
from artschool.engine.update import Update
from artschool.errors import CheckpointError
from artschool.storage.shards import Shards, whole

Slots = Mapping[str, Any]


@dataclass
class SavedOptimizer:
    """The state of one optimizer in a checkpoint.

    Attributes:
        slots: For each parameter, as `<network>.<parameter>`, what the optimizer keeps for it.
        groups: For each group, by index, what the optimizer has written to it.
    """

    slots: dict[str, dict[str, Any]] = field(default_factory=dict)
    groups: dict[int, dict[str, Any]] = field(default_factory=dict)

    @classmethod
    def of_step(cls, values: Mapping[str, Any], step: str) -> SavedOptimizer:
        """The part of a step in the values of all steps by name.

        Raises:
            CheckpointError: A group has no number.
        """
        found = cls()
        for name, value in values.items():
            owner, _, slot = name.removeprefix(f"{step}/").rpartition("/")
            if not name.startswith(f"{step}/"):
                continue
            kind, _, index = owner.partition(":")
            if kind == "group" and index:
                if not index.isdecimal():
                    raise CheckpointError(f"the checkpoint is damaged: {name!r} is not the state of a group")
                found.groups.setdefault(int(index), {})[slot] = value
            else:
                found.slots.setdefault(owner, {})[slot] = value
        return found


def names_of(update: Update, networks: Mapping[str, nn.Module]) -> dict[nn.Parameter, str]:
    """The parameters that this process moves, each as `<network>.<parameter>`."""
    names = {p: f"{net}.{name}" for net, network in networks.items() for name, p in network.named_parameters()}
    return {parameter: names[parameter] for parameter in update.scheduled.own_parameters}


def state_of(update: Update, networks: Mapping[str, nn.Module], step: str) -> dict[str, Any]:
    """The state of the optimizer of a step by name, for the parameters that this process moves."""
    if update.scheduled.offloaded is not None:
        update.scheduled.offloaded.wait()
    named = {
        f"{name}/{slot}": value
        for parameter, name in names_of(update, networks).items()
        for slot, value in in_parts(update.optimizer.state.get(parameter, {})).items()
    }
    return {f"{step}/{name}": value for name, value in (named | update.scheduled.group_state()).items()}


def in_parts(slots: Slots) -> Slots:
    """Slots of which those that consist of several tensors, such as codes and scales, are named `<slot>:<part>`."""
    found: dict[str, Any] = {}
    for slot, value in slots.items():
        if _has_parts(value):
            found |= {f"{slot}:{part}": getattr(value, part) for part in value.__tensor_flatten__()[0]}
        else:
            found[slot] = value
    return found


def joined(update: Update, parameter: nn.Parameter, saved: Slots) -> Slots:
    """The slots of a parameter, of which a checkpoint has some in parts. What does not fit stays as it is."""
    if not any(":" in name for name in saved):
        return saved
    slots = dict(saved)
    for slot, like in (needed_slots(update.optimizer, parameter) or {}).items():
        names, kind = like.__tensor_flatten__() if _has_parts(like) else ((), None)
        parts = {part: slots.get(f"{slot}:{part}") for part in names}
        if parts and all(_shape(value) == _shape(getattr(like, part)) for part, value in parts.items()):
            own = {part: whole(slots.pop(f"{slot}:{part}")).to(parameter.device) for part in parts}
            slots[slot] = type(like).__tensor_unflatten__(own, kind, like.shape, like.stride())
    return slots


def _has_parts(value: Any) -> bool:
    """Whether a value is a tensor that consists of others. A sharded one is saved in another way."""
    return isinstance(value, Tensor) and is_traceable_wrapper_subclass(value) and not ranks.is_sharded(value)


def load(update: Update, slots: Mapping[nn.Parameter, Slots], groups: Mapping[int, Mapping[str, Any]]) -> None:
    """Replace the state of an optimizer. Parameters without slots start as in a new run."""
    state = update.optimizer.state_dict()["param_groups"]
    device = update.parameters[0].device
    for index, written in groups.items():
        state[index] |= {k: v.to(device, copy=True) if isinstance(v, Tensor) else v for k, v in written.items()}
    # torch numbers parameters in the order of the groups; it chooses device and dtype.
    numbers = {parameter: index for index, parameter in enumerate(update.scheduled.own_parameters)}
    offloaded = update.scheduled.offloaded
    loaded: dict[Any, Any] = {}
    for part in [[*numbers]] if offloaded is None else [part for _, part in offloaded.parts] or [[]]:
        kept = {numbers[p]: _own(slots[p], p) for p in part if slots.get(p)}
        update.optimizer.load_state_dict({"state": kept, "param_groups": state})
        if offloaded is not None:
            offloaded.keep(part)
        loaded |= update.optimizer.state
    update.optimizer.state.update(loaded)
    if isinstance(update.optimizer, torch.optim.SGD):
        start_momentum(update.optimizer)
    if offloaded is not None:
        offloaded.keep()


def _own(slots: Slots, parameter: nn.Parameter) -> dict[str, Any]:
    """The slots of a parameter in memory of their own, divided among processes like the parameter."""
    return {name: _own_slot(value, parameter) for name, value in slots.items()}


def _own_slot(value: Any, parameter: nn.Parameter) -> Any:
    if not isinstance(value, Tensor | Shards) or _has_parts(value):
        return value
    if ranks.is_sharded(parameter) and value.shape == parameter.shape:
        return shard_like(value, parameter)
    own = whole(value)
    if own.shape != parameter.shape or own.stride() == parameter.stride():
        return own
    # In the memory format of the parameter, since fused optimizers read memory in its order.
    return torch.empty_like(parameter, dtype=own.dtype, device=own.device).copy_(own)


def needed_slots(optimizer: Optimizer, parameter: nn.Parameter) -> dict[str, Any] | None:
    """What the first step of an optimizer creates for a parameter, found by a step on a copy. None: that step fails."""
    group = next(group for group in optimizer.param_groups if any(p is parameter for p in group["params"]))
    trial = nn.Parameter(torch.zeros_like(parameter))
    trial.grad = torch.zeros_like(parameter)
    probe = object.__new__(type(optimizer))
    vars(probe).update(vars(optimizer))
    try:
        options = copy.deepcopy({name: value for name, value in group.items() if name != "params"})
        probe.param_groups, probe.state = [{**options, "params": [trial]}], defaultdict(dict)
        probe.step()
    except Exception:  # The optimizer may be of any package.
        return None
    return dict(probe.state[trial])


def fitting(
    update: Update, saved: Mapping[nn.Parameter, Slots], *, has_moved: bool
) -> tuple[dict[nn.Parameter, Slots], set[str], str]:
    """The saved slots that the optimizer needs.

    Args:
        saved: The slots of each parameter that this process moves; empty for one that was never moved.
        has_moved: Whether the optimizer has moved any parameter.

    Returns:
        The needed slots of each parameter, the names of the others, and why the state cannot be used. It is used as a
        whole or not at all; an empty text means that it fits.
    """
    used: dict[nn.Parameter, Slots] = {}
    others: set[str] = set()
    for parameter, slots in saved.items():
        needed = needed_slots(update.optimizer, parameter)
        if needed is None:
            return {}, set(), "its options have changed, and it is unknown what it needs"
        missing = [slot for slot, like in needed.items() if slot not in slots or not _fits(slots[slot], like)]
        if missing and (slots or (has_moved and not any(saved.values()))):
            return (
                {},
                set(),
                f"it needs {', '.join(repr(slot) for slot in missing)}, which the checkpoint does not have",
            )
        used[parameter] = {slot: slots[slot] for slot in needed if slot in slots}
        others |= slots.keys() - needed.keys()
    return used, others, ""


def _fits(saved: Any, like: Any) -> bool:
    is_empty = saved is None and like is not None
    return not is_empty and _shape(saved) == _shape(like) and is_of_kind(saved, like)


def _shape(value: Any) -> tuple[int, ...]:
    return tuple(value.shape) if isinstance(value, Tensor | Shards) else ()
