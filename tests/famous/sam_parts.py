"""The optimizer of SAM."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import nn

from artschool import optimizers


@optimizers.register
class Sam(torch.optim.Optimizer):
    """Every first call climbs along the gradient, by `rho`. Every second call goes back, and is a step of SGD."""

    def __init__(self, params: Iterable[nn.Parameter], lr: float, rho: float = 0.05, momentum: float = 0.9) -> None:
        super().__init__(params, {"lr": lr, "rho": rho, "momentum": momentum})

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> None:  # type: ignore[override]  # no closure
        """Climb, or go back and descend."""
        parts: list[tuple[dict[str, Any], nn.Parameter]] = [
            (group, p) for group in self.param_groups for p in group["params"] if p.grad is not None
        ]
        norm = torch.stack([p.grad.norm() for _, p in parts if p.grad is not None]).norm()
        for group, p in parts:
            assert p.grad is not None
            state = self.state[p]
            if "climb" in state:
                p.sub_(state.pop("climb"))
                velocity = state.setdefault("velocity", torch.zeros_like(p))
                p.sub_(velocity.mul_(group["momentum"]).add_(p.grad), alpha=group["lr"])
            else:
                state["climb"] = p.grad * (group["rho"] / norm)
                p.add_(state["climb"])
