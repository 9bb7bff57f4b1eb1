"""Call a network."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated, Any, Literal

import torch
from torch import Tensor, nn

from artschool.errors import ConfigError, nearest
from artschool.registry import ComponentRole, injectors
from artschool.registry.signature import Network, Pattern

Mode = Literal["keep", "eval", "train"]
# A leading underscore is refused: a file may call what a network offers, not Python's own machinery.
MethodName = Annotated[str, Pattern(r"^[A-Za-z][A-Za-z0-9_]*$", "the name of a method that begins with a letter")]


@injectors.register(roles=ComponentRole.NETWORK_CALL)
def forward(
    network: Network,
    inputs: list[Tensor | float | None],
    *,
    named_inputs: dict[str, Tensor] | None = None,
    method: MethodName | None = None,
    args: dict[str, Any] | None = None,
    grad: bool = True,
    mode: Mode = "keep",
) -> Any:
    """Call a network, or one of its methods, and return what it returns.

    Args:
        network: The network to call.
        inputs: Positional arguments in order: keys, numbers, or nothing.
        named_inputs: Keyword arguments that are keys, by parameter name.
        method: A method to call instead of the network itself.
        args: Keyword arguments that are constants, by parameter name.
        grad: Whether gradients flow through the call; without them it needs less memory and runs faster.
        mode: How dropout and batch norms behave during the call: as they are, as in evaluation, or as in
            training. Every submodule has its own mode back afterwards.

    Raises:
        ConfigError: The network has no such method, or an argument is given twice.
    """
    named_inputs, args = named_inputs or {}, args or {}
    if twice := named_inputs.keys() & args.keys():
        raise ConfigError(f"forward gives {', '.join(sorted(twice))} both in named_inputs and in args; drop one")
    call = network if method is None else _method(network, method)
    if grad and mode == "keep":
        return call(*inputs, **named_inputs, **args)
    with torch.set_grad_enabled(grad and torch.is_grad_enabled()), in_mode(network, mode):
        return call(*inputs, **named_inputs, **args)


def _method(network: nn.Module, name: str) -> Any:
    found = getattr(network, name, None)
    if not callable(found):
        methods = [known for known in dir(type(network)) if not known.startswith("_")]
        message = f"{type(network).__name__} has no method {name!r}. {nearest(name, methods)}"
        raise ConfigError(message.strip())
    return found


@contextmanager
def in_mode(network: nn.Module, mode: Mode) -> Iterator[None]:
    """Put a network into a mode, and every submodule back into its own afterwards."""
    if mode == "keep":
        yield
        return
    before = [(module, module.training) for module in network.modules()]
    network.train(mode == "train")
    try:
        yield
    finally:
        # Not network.train(...): a part that stays in eval mode inside a training network keeps its own mode.
        for module, training in before:
            module.training = training
