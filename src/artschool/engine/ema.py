"""Exponential moving averages of networks."""

from __future__ import annotations

import copy
from collections.abc import Sequence

import torch
from torch import Tensor, nn


class Ema:
    """A frozen copy of a network that follows its weights: `ema = decay * ema + (1 - decay) * weights`.

    Floating-point parameters are averaged, buffers are copied.

    Source: Polyak and Juditsky 1992; the exponential form as in Tarvainen and Valpola 2017, arXiv:1703.01780, eq. 1.

    Attributes:
        module: The averaged network, in eval mode.
    """

    def __init__(self, network: nn.Module, decay: float) -> None:
        self.module = copy.deepcopy(network).eval().requires_grad_(False)
        self.decay = decay
        self._source = [p.detach() for p in network.parameters()]
        self._average = [p.detach() for p in self.module.parameters()]
        self._source_buffers = list(network.buffers())
        self._buffers = list(self.module.buffers())

    def update(self, found_inf: Sequence[Tensor | None]) -> None:
        """Move the average one step towards the weights.

        Args:
            found_inf: One entry for each optimizer that updated the network. None: it moved the weights. A scalar on
                the device: 1.0 if it skipped non-finite gradients, else 0.0. If all skipped, the average is unchanged.
        """
        flags = [flag for flag in found_inf if flag is not None]
        rate = 1 - self.decay
        if self._average and len(flags) < len(found_inf):
            torch._foreach_lerp_(self._average, self._source, rate)
        elif self._average:
            skipped = flags[0] if len(flags) == 1 else torch.stack(flags).amin()
            weight = torch.rsub(skipped, rate, alpha=rate)
            torch._foreach_lerp_(self._average, self._source, [weight] * len(self._average))
        if self._buffers:
            torch._foreach_copy_(self._buffers, self._source_buffers)
