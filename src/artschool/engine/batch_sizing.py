"""As many iterations to one update as the direction of their gradients needs to settle."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn.functional import normalize

ROUNDING = 1e-6
"""In radians; an angle below it is rounding of float32, and cannot be said to decrease."""


class BatchSizing(nn.Module):
    """Sums gradients over iterations until their direction has settled.

    Of a few weight tensors it takes the angle by which the gradient g of an iteration turns their sum G,

        angle(G, G + g) in 0..pi,

    which falls while the sum becomes surer of its direction. The sum is complete when the angle of every one of them
    has stopped decreasing, or at the largest number of iterations. What it keeps lives in buffers, so a checkpoint in
    the middle of a sum goes on with it.

    Source: Xu, van Genabith, Xiong and Liu 2020, Dynamically Adjusting Transformer Batch Size by Monitoring Gradient
    Direction Change, ACL.

    Args:
        parameters: All that the step trains.
        poll_parameters: How many tensors to look at, spread evenly over those of two or more dimensions.
        max_full_batches: The largest number of iterations in a sum.
    """

    def __init__(self, parameters: Sequence[nn.Parameter], poll_parameters: int, max_full_batches: int) -> None:
        super().__init__()
        self._trained = list(parameters)
        self._most = max_full_batches
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
        # Not on the device: reading them there would wait for it.
        self.register_buffer("has_gradient", torch.zeros(len(self._trained), dtype=torch.bool))
        self.register_buffer("count", torch.zeros((), dtype=torch.int64))

    @torch.no_grad()
    def add(self, found_inf: Tensor | None) -> int:
        """Add the gradients that the parameters have now. It reads from the device once.

        Args:
            found_inf: 1.0 where these gradients are not finite; they are left out then. None does not look.

        Returns:
            0 while the sum is not complete. Otherwise how many gradients are in it: the parameters have got their mean
            for gradient, and the next sum begins.
        """
        angles = self._turned_by()
        settled = self.settled | (angles >= self.angles) | (angles <= ROUNDING)
        found = angles.new_zeros(()) if found_inf is None else found_inf
        spoiled, all_settled = torch.stack([found.bool(), settled.all()]).tolist()
        if spoiled:
            return 0
        self.has_gradient |= torch.tensor([parameter.grad is not None for parameter in self._trained])
        torch._foreach_add_(*self._with_gradients())
        self.count += 1
        count = int(self.count)
        if count > 1:  # The first gradient turns nothing.
            self.angles.copy_(angles)
            self.settled.copy_(settled)
        if count < self._most and not (all_settled and count > 1):
            return 0
        for parameter, total, has in zip(self._trained, self._sums, self.has_gradient.tolist(), strict=True):
            parameter.grad = total / count if has else None
        self._begin()
        return count

    def _turned_by(self) -> Tensor:
        """The angle of each polled tensor; 0 for one without a gradient."""
        pairs = [(self._sums[index], self._trained[index].grad) for index in self.polled]
        return torch.stack([angle(total, total if grad is None else total + grad) for total, grad in pairs])

    def _with_gradients(self) -> tuple[list[Tensor], list[Tensor]]:
        pairs = [(s, p.grad) for s, p in zip(self._sums, self._trained, strict=True) if p.grad is not None]
        return [total for total, _ in pairs], [gradient for _, gradient in pairs]

    def _begin(self) -> None:
        torch._foreach_zero_(self._sums)
        self.angles.fill_(math.inf)
        for flags in (self.settled, self.has_gradient, self.count):
            flags.zero_()


def angle(one: Tensor, other: Tensor) -> Tensor:
    """The angle between two tensors in 0..pi, exact also where it is small; 0 where both are zero.

    Source: Kahan 2006, How Futile are Mindless Assessments of Roundoff, section 12.
    """
    tiny = torch.finfo(torch.float32).tiny
    u, v = (normalize(tensor.flatten().float(), dim=0, eps=tiny) for tensor in (one, other))
    return 2 * torch.atan2((u - v).norm(), (u + v).norm())
