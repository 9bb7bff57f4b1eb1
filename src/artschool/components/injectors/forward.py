"""Call a network."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated, Any, Literal

import torch
from torch import Tensor, nn

from artschool.errors import ConfigError
from artschool.registry import ComponentRole, injectors
from artschool.registry.ranges import IN, OUT, Known, Ranges
from artschool.registry.signature import Network, Pattern
from artschool.wording.names import nearest

Mode = Literal["keep", "eval", "train"]
# No leading underscore: a file may call the public methods of a network, not Python's internals.
MethodName = Annotated[str, Pattern(r"^[A-Za-z][A-Za-z0-9_]*$", "the name of a method that begins with a letter")]


def _of_network(known: Known) -> Ranges:
    network, method = known.networks.get("network", {}), known.options["method"]
    prefix = "" if method is None else f"{method}."
    return {"inputs": network.get(f"{prefix}{IN}"), OUT: network.get(f"{prefix}{OUT}")}


@injectors.register(roles=ComponentRole.NETWORK_CALL, values=_of_network)
def forward(
    network: Network,
    inputs: list[Tensor | float | bool | None],
    *,
    named_inputs: dict[str, Tensor] | None = None,
    method: MethodName | None = None,
    args: dict[str, Any] | None = None,
    grad: bool = True,
    mode: Mode = "keep",
) -> Any:
    """Call a network, or one of its methods.

    Args:
        network: Network to call.
        inputs: Positional arguments of the call, in order: keys, numbers, true, false, or null for None.
        named_inputs: Keyword arguments of the call whose values are keys, by parameter name.
        method: Method to call. null: the network itself.
        args: Keyword arguments of the call whose values are constants, by parameter name.
        grad: Whether gradients flow through the call. false: the call uses less memory and runs faster.
        mode: Mode of dropout and batch norms during the call: `keep` the current mode, `eval` or `train`. Afterwards,
            every submodule returns to its previous mode.

    Returns:
        The value that the network or method returns.

    Raises:
        ConfigError: The network does not have the method, or an argument is duplicate.
    """
    named_inputs, args = named_inputs or {}, args or {}
    if duplicates := named_inputs.keys() & args.keys():
        names = ", ".join(sorted(duplicates))
        raise ConfigError(f"forward: duplicate argument {names} in named_inputs and args. Fix: remove one of them")
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
    """Put a network into a mode, and restore the mode of every submodule afterwards."""
    if mode == "keep":
        yield
        return
    before = [(module, module.training) for module in network.modules()]
    network.train(mode == "train")
    try:
        yield
    finally:
        # Not network.train(...), which would change submodules that stay in eval mode while the network trains.
        for module, training in before:
            module.training = training
