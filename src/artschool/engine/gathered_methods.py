"""Calls of sharded networks: methods find the parameters gathered, as forward does, and errors name `wrap`."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import wraps
from traceback import extract_tb
from typing import Any

from torch import nn

from artschool.engine.gathered import without_views
from artschool.engine.sharding import innermost_units
from artschool.errors import ConfigError, text_of

NOT_GATHERED = "got mixed torch.Tensor and DTensor"
"""Part of torch's error about a parameter that is read while its unit is not gathered."""


def blame_wrap(network: nn.Module, methods: Iterable[str], path: str) -> None:
    """Let calls of a network name the option `wrap` if they read parameters of a unit that is not called itself.

    Args:
        network: A sharded network.
        methods: The methods that the file names. Names of no method are left out.
        path: Location and path of `wrap` in the config file, for errors.
    """
    if innermost_units(network).keys() == {""}:
        return  # The network is the only unit.
    for name in ("forward", *sorted(methods)):
        if callable(method := getattr(network, name, None)):
            setattr(network, name, _blaming_wrap(method, path))


def _blaming_wrap(method: Callable[..., Any], path: str) -> Callable[..., Any]:
    @wraps(method)
    def blaming(*args: Any, **named: Any) -> Any:
        try:
            return method(*args, **named)
        except RuntimeError as error:
            if NOT_GATHERED not in text_of(error):
                raise
            lines = [f"\n    at {f.filename}:{f.lineno}: {f.line}" for f in extract_tb(error.__traceback__)[1:2]]
            raise ConfigError(
                f"{path}: parameters of a unit are read while it is not called{''.join(lines)}\n    Fix: in `wrap`, "
                "name only modules that are called themselves, or write `parallel: replicate`."
            ) from error

    return blaming


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
