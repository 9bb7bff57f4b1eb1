"""LAMB: Adam with updates scaled to the norm of the weights."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.optim.adamw import adamw
from torch.optim.optimizer import Optimizer, ParamsT

from artschool.registry import optimizers

_ADAMW_EPS = 1e-8  # PyTorch's default. `eps` is for LAMB, whose second moment has no bias correction.


@optimizers.register
class LAMB(Optimizer):
    """Adam without bias correction, each update scaled to the norm of its tensor, for very large batches.

    For weights w and the moving averages m of the gradient and v of its square:

        u = m / (sqrt(v) + eps) + weight_decay * w
        r = min(|w|, max_weight_norm) / |u|, or 1 where |w| or |u| is 0
        w = w - lr * r * u

    Groups with `exempt: true` (the kinds of `no_decay`) are updated by AdamW, with the rate, betas and weight decay of
    the group. `found_inf` is not supported, so skipping a non-finite update costs one synchronization per step.

    Source: You et al. 2020, arXiv:1904.00962, algorithm 2; the bound on |w| is its phi.
    """

    def __init__(
        self,
        params: ParamsT,
        *,
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-6,
        weight_decay: float = 0.0,
        max_weight_norm: float = 10.0,
    ) -> None:
        """Optimize parameters or groups of parameters.

        Args:
            params: Parameters or groups of parameters, as for every PyTorch optimizer.
            lr: Learning rate.
            betas: Decay rates of the first and second moments: the fractions that are kept at each step.
            eps: Number to add to the root of the second moment.
            weight_decay: Factor of the weights that are added to the update before it is scaled.
            max_weight_norm: Upper bound of a tensor's norm in the scale of its update. Larger norms count as this
                number.
        """
        defaults = {"lr": lr, "betas": betas, "eps": eps, "weight_decay": weight_decay}
        super().__init__(params, defaults | {"max_weight_norm": max_weight_norm, "exempt": False})

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Update every parameter that has a gradient. Gradients stay unchanged."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for group in self.param_groups:
            params = [param for param in group["params"] if param.grad is not None]
            if params:
                (self._step_adamw if group["exempt"] else self._step_lamb)(params, group)
        return loss

    def _step_lamb(self, params: list[Tensor], group: dict[str, Any]) -> None:
        means, squares, grads, params = map(_as_real, (*self._moments(params), _gradients(params), params))
        beta1, beta2 = group["betas"]
        torch._foreach_mul_(means, beta1)
        torch._foreach_add_(means, grads, alpha=1 - beta1)
        torch._foreach_mul_(squares, beta2)
        torch._foreach_addcmul_(squares, grads, grads, value=1 - beta2)
        roots = torch._foreach_sqrt(squares)
        torch._foreach_add_(roots, group["eps"])
        updates = torch._foreach_div(means, roots)
        torch._foreach_add_(updates, params, alpha=group["weight_decay"])
        norms = zip(torch._foreach_norm(params), torch._foreach_norm(updates), strict=True)
        torch._foreach_mul_(updates, [_ratio(*pair, group["max_weight_norm"]) for pair in norms])
        torch._foreach_add_(params, updates, alpha=-group["lr"])

    def _step_adamw(self, params: list[Tensor], group: dict[str, Any]) -> None:
        means, squares = self._moments(params)
        for param in params:
            # On the CPU, as in PyTorch's optimizers, so that reading it does not synchronize with the device.
            self.state[param].setdefault("step", torch.tensor(0.0))
        beta1, beta2 = group["betas"]
        adamw(
            params,
            _gradients(params),
            means,
            squares,
            [],
            [self.state[param]["step"] for param in params],
            amsgrad=False,
            beta1=beta1,
            beta2=beta2,
            lr=group["lr"],
            weight_decay=group["weight_decay"],
            eps=_ADAMW_EPS,
            maximize=False,
        )

    def _moments(self, params: list[Tensor]) -> tuple[list[Tensor], list[Tensor]]:
        for param in params:
            if not self.state[param]:
                self.state[param]["exp_avg"] = torch.zeros_like(param)
                self.state[param]["exp_avg_sq"] = torch.zeros_like(param)
        states = [self.state[param] for param in params]
        return [state["exp_avg"] for state in states], [state["exp_avg_sq"] for state in states]


def _gradients(params: list[Tensor]) -> list[Tensor]:
    return [param.grad for param in params if param.grad is not None]


def _as_real(tensors: list[Tensor]) -> list[Tensor]:
    """The tensors; of complex ones, the real and imaginary parts, which torch's optimizers treat as numbers, too."""
    return [torch.view_as_real(tensor) if tensor.is_complex() else tensor for tensor in tensors]


def _ratio(weight_norm: Tensor, update_norm: Tensor, max_weight_norm: float) -> Tensor:
    ratio = weight_norm.clamp(max=max_weight_norm) / update_norm
    # Selected on the device. A ratio of 0 would keep zero weights at zero, and a zero update cannot be a divisor.
    return torch.where((weight_norm > 0) & (update_norm > 0), ratio, torch.ones_like(ratio))
