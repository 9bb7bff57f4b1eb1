"""The optimizer of SAM."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor, nn

from artschool import optimizers


@optimizers.register
class Sam(torch.optim.Optimizer):
    """Every first call climbs along the gradient, by `rho`. Every second call goes back, and is a step of SGD.

    A call that is skipped for non-finite gradients counts: a first one does not climb, and a second one only goes back.
    Otherwise, weights would stay climbed after it, and every later first call would be taken for a second one.
    """

    _step_supports_amp_scaling = True
    """Then `step` is also called for an update that is skipped, with a `found_inf` of 1."""
    found_inf: Tensor | None = None

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
            if "start" in state:
                p.copy_(state.pop("start"))
                velocity = state.setdefault("velocity", torch.zeros_like(p))
                velocity.copy_(self._unless_skipped(group["momentum"] * velocity + p.grad, velocity))
                p.copy_(self._unless_skipped(p - group["lr"] * velocity, p))
            else:
                state["start"] = p.clone()
                p.copy_(self._unless_skipped(p + p.grad * (group["rho"] / (norm + 1e-12)), p))

    def _unless_skipped(self, moved: Tensor, stays: Tensor) -> Tensor:
        """Decides on the device."""
        return moved if self.found_inf is None else torch.where(self.found_inf > 0, stays, moved)
