"""How far each update moves the weights."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from typing import Literal

import torch
from torch import Tensor, nn

from artschool.registry import callbacks
from artschool.registry.signature import Context


@callbacks.register
class UpdateSize:
    """Logs `|w' - w| / |w'|` for each part of the networks that a step trains, w being its weights and w' those after.

    Norms are over all elements. Around 1e-3 is usual; parts that stand still or jump show a rate that does not fit
    them. It is 1 for weights that leave 0, and 0 for an update that was skipped. A copy of the weights is held for the
    time of an update: `every: 10` looks at every tenth iteration only.
    """

    def __init__(
        self, networks: Mapping[str, nn.Module], *, per: Literal["parameter", "module"] = "module", context: Context
    ) -> None:
        """Watch networks.

        Args:
            networks: What the step trains, by name.
            per: Whether weight and bias of a layer count as one.
            context: Where the numbers go.
        """
        named = [
            (f"{network}.{name}", p) for network, module in networks.items() for name, p in module.named_parameters()
        ]
        self._parameters = [(name if per == "parameter" else name.rpartition(".")[0], p) for name, p in named]
        self._context = context
        self._before: list[tuple[str, nn.Parameter, Tensor]] = []

    def before_optimize(self, step: int) -> None:
        """Remember the weights that are about to move."""
        self._before = [(name, p, p.detach().clone()) for name, p in self._parameters if p.grad is not None]

    def after_optimize(self, step: int) -> None:
        """Compare, on the device."""
        names = [name for name, _, _ in self._before]
        after = [p.detach() for _, p, _ in self._before]
        moved = torch._foreach_norm(torch._foreach_sub(after, [before for _, _, before in self._before]))
        self._before = []
        parts: defaultdict[str, list[tuple[Tensor, Tensor]]] = defaultdict(list)
        for name, update, weights in zip(names, moved, torch._foreach_norm(after), strict=True):
            parts[name].append((update, weights))
        for name, pairs in parts.items():
            update, weights = (torch.stack(norms).norm() for norms in zip(*pairs, strict=True))
            # Weights that stay at 0 have not moved; NaN otherwise stays NaN, for it tells of an explosion.
            self._context.log(name, torch.where(update == 0, update, update / weights))
