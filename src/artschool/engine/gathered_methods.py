"""Methods of sharded networks that find the parameters gathered, as forward does."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import wraps
from typing import Any

from torch import nn

from artschool.engine.gathered import without_views


def gather_for_methods(network: nn.Module, names: Iterable[str], before: Callable[..., None] | None = None) -> None:
    """Let methods of a sharded network find its parameters gathered, as its forward does.

    A method may call the network or another one of these methods. Names of no method are left out.

    Args:
        before: Called before a method gathers parameters.
    """
    methods = {name: getattr(network, name) for name in sorted(names) if callable(getattr(network, name, None))}
    if not methods:
        return
    inside = _Inside()
    network.forward = inside.entered(network.forward)
    for name, method in methods.items():
        setattr(network, name, inside.entered(_returning_no_views(method)))
        outside = _gathered(network, name, before or _nothing)
        setattr(network, name, inside.choose(inside=method, outside=outside))


def _returning_no_views(method: Callable[..., Any]) -> Callable[..., Any]:
    @wraps(method)
    def returning(*args: Any, **named: Any) -> Any:
        return without_views(method(*args, **named))

    return returning


def _nothing() -> None:
    """What a network without 16 bits needs before a call."""


def _gathered(network: nn.Module, name: str, before: Callable[..., None]) -> Callable[..., Any]:
    """A method that gathers the parameters before it runs and frees them once it has returned."""
    from torch.distributed.fsdp import FSDPModule, register_fsdp_forward_method

    assert isinstance(network, FSDPModule)
    sharded = network
    register_fsdp_forward_method(network, name)
    method = getattr(network, name)

    @wraps(method)
    def gathered(*args: Any, **named: Any) -> Any:
        # If the method calls the network, torch would free the parameters after that call already.
        before()
        sharded.set_reshard_after_forward(False, recurse=False)
        try:
            return method(*args, **named)
        finally:
            sharded.set_reshard_after_forward(True, recurse=False)
            sharded.reshard()

    return gathered


class _Inside:
    """Whether a call of a network is running, so that an inner call must not gather and free the parameters."""

    def __init__(self) -> None:
        self._is_inside = False

    def entered(self, call: Callable[..., Any]) -> Callable[..., Any]:
        """The call, which sets the flag while it runs."""

        @wraps(call)
        def entered(*args: Any, **named: Any) -> Any:
            before, self._is_inside = self._is_inside, True
            try:
                return call(*args, **named)
            finally:
                self._is_inside = before

        return entered

    def choose(self, *, inside: Callable[..., Any], outside: Callable[..., Any]) -> Callable[..., Any]:
        """One call for the code of the network, and another one for everything else."""

        @wraps(inside)
        def chosen(*args: Any, **named: Any) -> Any:
            return (inside if self._is_inside else outside)(*args, **named)

        return chosen
