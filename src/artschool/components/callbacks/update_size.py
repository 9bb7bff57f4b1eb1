"""Size of each update relative to the weights."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from typing import Literal

import torch
from torch import Tensor, nn

from artschool import ranks
from artschool.registry import callbacks
from artschool.registry.signature import Context


@callbacks.register
class UpdateSize:
    """Log `|w' - w| / |w'|` for each part of the networks that a step trains: w before the update, w' after it.

    Norms are over all elements. About 1e-3 is usual; much smaller or larger values suggest that the learning rate does
    not fit that part. The value is 1 for weights that leave 0, and 0 for a skipped update. During an update, a copy of
    the weights is kept; `every: 10` measures every tenth iteration only.
    """

    def __init__(
        self, networks: Mapping[str, nn.Module], *, per: Literal["parameter", "module"] = "module", context: Context
    ) -> None:
        """Watch the networks of a step.

        Args:
            networks: Networks that the step trains, by name.
            per: Part that one number describes: a `parameter`, or a `module`, such as weight and bias of one layer
                together.
            context: Receives the logged values.
        """
        named = [
            (f"{network}.{name}", p) for network, module in networks.items() for name, p in module.named_parameters()
        ]
        self._parameters = [(name if per == "parameter" else name.rpartition(".")[0], p) for name, p in named]
        self._context = context
        self._before: list[tuple[str, nn.Parameter, Tensor]] = []

    def before_optimize(self, step: int) -> None:
        """Copy the weights that are about to be updated."""
        moving = ((name, p) for name, p in self._parameters if p.grad is not None)
        self._before = [(name, p, ranks.local(p.detach()).clone()) for name, p in moving]

    def after_optimize(self, step: int) -> None:
        """Compare the weights with their copies, on the device."""
        names = [name for name, _, _ in self._before]
        parameters = [p.detach() for _, p, _ in self._before]
        after = ranks.local_of(parameters)
        moved = ranks.norms(torch._foreach_sub(after, [before for _, _, before in self._before]), parameters)
        self._before = []
        parts: defaultdict[str, list[tuple[Tensor, Tensor]]] = defaultdict(list)
        for name, update, weights in zip(names, moved, ranks.norms(after, parameters), strict=True):
            parts[name].append((update, weights))
        for name, pairs in parts.items():
            update, weights = (torch.stack(norms).norm() for norms in zip(*pairs, strict=True))
            # Weights that stay at 0 have not moved. Otherwise NaN stays NaN, because it signals divergence.
            self._context.log(name, torch.where(update == 0, update, update / weights))
