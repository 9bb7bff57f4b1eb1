"""Accumulates gradients over iterations until their direction settles, then lets the optimizer update."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn.functional import normalize

from artschool.engine.real_view import real_view

ROUNDING = 1e-6
"""Radians. A smaller angle is float32 rounding error, so it counts as settled."""


class BatchSizing(nn.Module):
    """Sums gradients over iterations until the direction of the sum settles.

    The gradient g of an iteration turns the sum G of a weight tensor by

        angle(G, G + g) in 0..pi.

    The angle decreases while the direction of the sum is still settling. The sum is complete when the angles of all
    polled tensors have stopped decreasing, or after `max_full_batches` iterations. All state is in buffers, so a run
    can resume from a checkpoint in the middle of a sum.

    Source: Xu, van Genabith, Xiong and Liu 2020, Dynamically Adjusting Transformer Batch Size by Monitoring Gradient
    Direction Change, ACL.

    Args:
        parameters: All parameters that the step trains.
        poll_parameters: Number of tensors whose angle is measured, spread evenly over those of two or more dimensions.
        max_full_batches: Maximum number of iterations in a sum.
    """

    def __init__(self, parameters: Sequence[nn.Parameter], poll_parameters: int, max_full_batches: int) -> None:
        super().__init__()
        self._trained = list(parameters)
        self._max_count = max_full_batches
        weights = [i for i, p in enumerate(self._trained) if p.ndim > 1] or [*range(len(self._trained))]
        number = min(poll_parameters, len(weights))
        self.polled = [weights[i * len(weights) // number] for i in range(number)]
        self._sums = [torch.zeros_like(parameter, requires_grad=False) for parameter in self._trained]
        for index, total in enumerate(self._sums):
            self.register_buffer(f"sum_{index}", total)
        device = self._trained[0].device
        self.angles: Tensor
        self.settled: Tensor
        self.has_gradient: Tensor
        self.count: Tensor
        self.register_buffer("angles", torch.full((number,), math.inf, device=device))
        self.register_buffer("settled", torch.zeros(number, dtype=torch.bool, device=device))
        # On the CPU: reading them on the device would wait for it.
        self.register_buffer("has_gradient", torch.zeros(len(self._trained), dtype=torch.bool))
        self.register_buffer("count", torch.zeros((), dtype=torch.int64))

    @torch.no_grad()
    def add(self, found_inf: Tensor | None) -> int:
        """Add the current gradients of the parameters to the sum. Waits for the device once.

        Args:
            found_inf: 1.0 if these gradients are not finite; then they are left out. None: add them unchecked.

        Returns:
            0 while the sum is incomplete. When it is complete, the number of gradients in it; the gradient of each
            parameter is then their mean, and the next sum begins.
        """
        angles = self._angles_with_gradients()
        settled = self.settled | (angles >= self.angles) | (angles <= ROUNDING)
        found = angles.new_zeros(()) if found_inf is None else found_inf
        is_non_finite, all_settled = torch.stack([found.bool(), settled.all()]).tolist()
        if is_non_finite:
            return 0
        self.has_gradient |= torch.tensor([parameter.grad is not None for parameter in self._trained])
        torch._foreach_add_(*self._with_gradients())
        self.count += 1
        count = int(self.count)
        if count > 1:  # The first gradient has no sum to turn.
            self.angles.copy_(angles)
            self.settled.copy_(settled)
        if count < self._max_count and not (all_settled and count > 1):
            return 0
        for parameter, total, has in zip(self._trained, self._sums, self.has_gradient.tolist(), strict=True):
            parameter.grad = total / count if has else None
        self._reset()
        return count

    def _angles_with_gradients(self) -> Tensor:
        """The angle of each polled tensor; 0 for a tensor without a gradient."""
        pairs = [(self._sums[index], self._trained[index].grad) for index in self.polled]
        return torch.stack([angle(total, total if grad is None else total + grad) for total, grad in pairs])

    def _with_gradients(self) -> tuple[list[Tensor], list[Tensor]]:
        pairs = [(s, p.grad) for s, p in zip(self._sums, self._trained, strict=True) if p.grad is not None]
        return [total for total, _ in pairs], [gradient for _, gradient in pairs]

    def _reset(self) -> None:
        torch._foreach_zero_(self._sums)
        self.angles.fill_(math.inf)
        for flags in (self.settled, self.has_gradient, self.count):
            flags.zero_()


def angle(first: Tensor, second: Tensor) -> Tensor:
    """The angle between two tensors, in 0..pi. Accurate for small angles; 0 if both tensors are zero.

    Source: Kahan 2006, How Futile are Mindless Assessments of Roundoff, section 12.
    """
    tiny = torch.finfo(torch.float32).tiny
    u, v = (normalize(real_view(tensor).flatten().float(), dim=0, eps=tiny) for tensor in (first, second))
    return 2 * torch.atan2((u - v).norm(), (u + v).norm())
