"""The global norm of gradients, some of which may be sharded."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

import torch
from torch import Tensor

from artschool import ranks


def total_norm(gradients: Sequence[Tensor], *, foreach: bool | None = None) -> Tensor:
    """The L2 norm of all elements of some gradients, the same on every process.

    Whole gradients are equal on all processes and count once. The squares of the parts of sharded ones are summed over
    processes, in one exchange that does not wait for the device.
    """
    whole = [gradient for gradient in gradients if not ranks.is_sharded(gradient)]
    parts: defaultdict[int, list[Tensor]] = defaultdict(list)
    for gradient in gradients:
        if ranks.is_sharded(gradient):
            parts[ranks.copies_of(gradient)].append(ranks.local(gradient))
    if not parts:
        return torch.nn.utils.get_total_norm(whole, foreach=foreach)
    squares = [torch.nn.utils.get_total_norm(own, foreach=foreach).square() / copies for copies, own in parts.items()]
    total = torch.stack(squares).sum()
    ranks.sum_in_place([total])
    if whole:
        total = total + torch.nn.utils.get_total_norm(whole, foreach=foreach).square()
    return total.sqrt()
