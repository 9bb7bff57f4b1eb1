"""What the class or factory of a component has to build: an object with the methods that the trainer calls."""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from torch import nn
from torch.optim import Optimizer

Methods = Mapping[str, Sequence[str]]
"""The values that the trainer passes to each method."""


@dataclass(frozen=True)
class Interface:
    """The methods of an object of a kind.

    Attributes:
        required: The methods that it must have.
        optional: The methods that are called if it has them.
        needs_one: Whether it must have one of the optional methods, since nothing else is called.
    """

    required: Methods = field(default_factory=dict)
    optional: Methods = field(default_factory=dict)
    needs_one: bool = False


STEP = ("step",)
INTERFACES = {
    "metrics": Interface({"update": (), "compute": (), "reset": ()}),
    "callbacks": Interface(
        optional=dict.fromkeys(("before_step", "before_optimize", "after_optimize", "log_data"), STEP), needs_one=True
    ),
    "loggers": Interface(
        {"log": ("record",)},
        {
            "start": ("run",),
            "advance": ("run",),
            "picture": ("key", "iteration", "values"),
            "audio": ("key", "iteration", "waves", "rate"),
            "video": ("key", "iteration", "gif"),
            "evaluating": ("name", "done", "total"),
            "note": ("message",),
            "close": (),
        },
    ),
    "networks": Interface(
        optional={
            "network_loaded": (),
            "provide_ema": ("module",),
            "update_for_step": ("step", "folder"),
            **dict.fromkeys(("before_step", "after_backward", "after_step"), STEP),
            "get_debug_values": ("step", "name"),
            "get_grad_norm_parameter_groups": (),
            "visual_dbg": ("step", "folder"),
        }
    ),
    "optimizers": Interface({"step": ()}),
}
KEYED = ("update",)
"""The methods whose parameters are keys of the file."""


def misfit(kind: str, built: Any) -> str | None:
    """Why an object that was built for a component of a kind cannot be used, with a fix. None: it can."""
    return next(_misfits(kind, built), None)


def _misfits(kind: str, built: Any) -> Iterator[str]:
    own = type(built).__name__
    if kind == "networks" and not isinstance(built, nn.Module):
        yield f"expected a torch.nn.Module, got {own}"
        return
    if isinstance(built, nn.Module) and not hasattr(built, "_parameters"):
        yield f"{own} is a torch.nn.Module that is not set up. Fix: call `super().__init__()` first in its `__init__`"
        return
    if kind in ("injectors", "losses") or (kind == "metrics" and not _accumulates(built)):
        if not callable(built):
            yield f"expected an object that can be called, got {own}. Fix: define `__call__`"
        return
    if kind == "datasets" and not isinstance(remarks := getattr(built, "remarks", ()), list | tuple):
        yield f"{own}.remarks: expected a list of sentences, got {type(remarks).__name__}"
    if kind in INTERFACES:
        yield from _wrong_methods(INTERFACES[kind], built, own, may_be_others=kind == "networks")
    if kind == "optimizers":
        yield from _wrong_groups(built, own)


def _accumulates(metric: Any) -> bool:
    """Whether a metric adds up values, as those of torchmetrics, and is no function of a batch."""
    return hasattr(metric, "update") or hasattr(metric, "compute")


def _wrong_methods(interface: Interface, built: Any, own: str, *, may_be_others: bool) -> Iterator[str]:
    missing = [name for name in interface.required if not callable(_method(built, name))]
    if missing:
        fix = ", ".join(f"`{_written(name, interface.required[name])}`" for name in missing)
        yield f"{own} does not define {' and '.join(missing)}. Fix: add {fix}"
    found = [name for name in interface.optional if hasattr(built, name)]
    if interface.needs_one and not found:
        yield f"{own} defines none of the methods {', '.join(interface.optional)}. Fix: define one"
    for name, values in ({**interface.required, **interface.optional} if not missing else {}).items():
        if name not in KEYED and hasattr(built, name):
            method = getattr(built, name)
            if not callable(method) and not may_be_others:
                yield f"{own}.{name} is no method, but {type(method).__name__}. Fix: `{_written(name, values)}`"
            elif callable(method) and not _takes(method, len(values)):
                given = ", ".join(values) or "nothing"
                yield f"{own}.{name} does not take what it is called with: {given}. Fix: `{_written(name, values)}`"


def _method(built: Any, name: str) -> Any:
    """The method of an object. That of torch's base class of optimizers, which torch wraps, only raises an error."""
    method = getattr(built, name, None)
    is_empty = isinstance(built, Optimizer) and inspect.unwrap(getattr(type(built), name)) is Optimizer.step
    return None if is_empty else method


def _written(name: str, values: Sequence[str]) -> str:
    parameters = ", ".join(("self", *values)) if name not in KEYED else "self, ..."
    return f"def {name}({parameters})"


def _takes(method: Any, count: int) -> bool:
    """Whether a method can be called with a number of values."""
    try:
        signature = inspect.signature(method)
    except (ValueError, TypeError):  # Python cannot read it.
        return True
    try:
        signature.bind(*[None] * count)
    except TypeError:
        return False
    return True


def _wrong_groups(optimizer: Any, own: str) -> Iterator[str]:
    groups = getattr(optimizer, "param_groups", None)
    if not isinstance(groups, list) or not isinstance(getattr(optimizer, "state", None), Mapping):
        yield f"expected a torch.optim.Optimizer, got {own}"
    elif not all(isinstance(group, Mapping) and {"params", "lr"} <= group.keys() for group in groups):
        yield f"{own} has a parameter group without `lr`. Fix: pass `dict(lr=lr)` to `Optimizer.__init__` as defaults"
