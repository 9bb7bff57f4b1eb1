"""The gradients of several losses at one tensor: how large they are, and whether they agree."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from artschool import ranks
from artschool.components.precision import at_least_float32, without_autocast
from artschool.errors import ConfigError
from artschool.registry.signature import Context
from artschool.wording.names import allowed


def tensor_at(network: nn.Module | None, parameter: str | None, at: Tensor | None) -> Tensor:
    """The tensor that a file names: a parameter of a network, or the value of a key.

    Raises:
        ConfigError: The file names neither or both, or the network does not have the parameter.
    """
    if (network is None or parameter is None) is (at is None) or (network is None) is not (parameter is None):
        raise ConfigError("expected `network` and `parameter`, or `at`. Fix: give one of the two")
    if network is None or parameter is None:
        assert at is not None
        return at
    parameters = dict(network.named_parameters())
    if parameter not in parameters:
        raise ConfigError(f"no parameter {parameter!r}. {allowed('Available parameters', parameter, parameters)}")
    if ranks.is_sharded(parameters[parameter]):
        raise ConfigError(f"the parameter {parameter!r} is sharded. Fix: write `parallel: replicate` for its network")
    return parameters[parameter]


def gradient_products(losses: Sequence[Tensor], at: Tensor, context: Context) -> Tensor:
    """The inner products of the gradients of losses at a tensor; the diagonal has their squared norms.

    The gradients are those of the current micro-batch of all processes together, so all processes get the same result.
    A loss that does not depend on the tensor has a gradient of zero, as do all of them where nothing is trained. With
    fp16, the losses are scaled before they are differentiated, as in training.

    Args:
        losses: T scalars, which stay differentiable.
        at: A parameter, or a value with a row for each sample, whose rows are those of this process.

    Returns:
        (T, T), float32 or float64.
    """
    with without_autocast(at):
        gradients = torch.stack([_gradient(loss, at, context) for loss in losses])
        if ranks.world_size() == 1:
            return gradients @ gradients.mT
        total = torch.full((), context.share, device=gradients.device)
        gradients = gradients * context.share
        is_shared = isinstance(at, nn.Parameter)
        ranks.sum_in_place([total, *([gradients] if is_shared else [])])
        products = gradients @ gradients.mT
        if not is_shared:
            ranks.sum_in_place([products])
        return products / total.square()


def _gradient(loss: Tensor, at: Tensor, context: Context) -> Tensor:
    """The gradient of a loss, flat."""
    gradient = None
    if loss.requires_grad and at.requires_grad:
        (gradient,) = torch.autograd.grad(context.scaled(loss), at, retain_graph=True, allow_unused=True)
    if gradient is None:
        return at_least_float32(torch.zeros_like(at)).flatten()
    return at_least_float32(gradient).flatten() / context.scaled(torch.ones_like(loss))
