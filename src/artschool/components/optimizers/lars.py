"""LARS: momentum SGD with steps that are a fixed fraction of the norm of the weights."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.optim.optimizer import Optimizer, ParamsT

from artschool.registry import optimizers


@optimizers.register
class LARS(Optimizer):
    """SGD with momentum and a learning rate for each tensor, for very large batches.

    For weights w with gradient g:

        r = trust_coefficient * |w| / (|g| + weight_decay * |w| + eps)
        d = r * (g + weight_decay * w), or d = g where |w| or |g| is 0
        b = momentum * b + d
        w = w - lr * b

    With `clip` (LARC), `min(r / lr, 1)` replaces r: the rate of a tensor is r, but never above lr. Groups with
    `exempt: true` (the kinds of `no_decay`) have no momentum. `found_inf` is not supported, so skipping a non-finite
    update costs one synchronization per step.

    Source: You et al. 2017, arXiv:1708.03888, algorithm 1.
    """

    def __init__(
        self,
        params: ParamsT,
        *,
        lr: float,
        momentum: float = 0.9,
        weight_decay: float = 0.0,
        trust_coefficient: float = 0.001,
        clip: bool = True,
        eps: float = 1e-8,
    ) -> None:
        """Optimize parameters or groups of parameters.

        Args:
            params: Parameters or groups of parameters, as for every PyTorch optimizer.
            lr: Learning rate. With `clip`, the upper bound of the rate of each tensor.
            momentum: Fraction of the previous update that is kept.
            weight_decay: Factor of the weights that are added to the gradient.
            trust_coefficient: Norm of a step without momentum, as a fraction of the norm of the tensor.
            clip: Whether `lr` is an upper bound of the rate of each tensor instead of a factor.
            eps: Number to add to the norm of the gradient.
        """
        defaults = {"lr": lr, "momentum": momentum, "weight_decay": weight_decay}
        options = {"trust_coefficient": trust_coefficient, "clip": clip, "eps": eps, "exempt": False}
        super().__init__(params, defaults | options)

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Update every parameter that has a gradient. Gradients stay unchanged."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for group in self.param_groups:
            momentum = 0.0 if group["exempt"] else group["momentum"]
            for param in group["params"]:
                if param.grad is not None:
                    self._move(param, _scaled(param, param.grad, group), momentum, group["lr"])
        return loss

    def _move(self, param: Tensor, update: Tensor, momentum: float, rate: float) -> None:
        if momentum:
            state = self.state[param]
            if "momentum_buffer" not in state:
                state["momentum_buffer"] = torch.zeros_like(param)
            update = state["momentum_buffer"].mul_(momentum).add_(update)
        param.add_(update, alpha=-rate)


def _scaled(param: Tensor, grad: Tensor, group: dict[str, Any]) -> Tensor:
    weight_norm, grad_norm = param.norm(), grad.norm()
    ratio = group["trust_coefficient"] * weight_norm / (grad_norm + group["weight_decay"] * weight_norm + group["eps"])
    if group["clip"]:
        ratio = (ratio / group["lr"]).clamp(max=1.0)  # An lr of 0 gives infinity, clamped to 1.
    # Selected on the device: reading the norms here would synchronize once per tensor.
    adapts = (weight_norm > 0) & (grad_norm > 0)
    return torch.where(adapts, (grad + group["weight_decay"] * param) * ratio, grad)
