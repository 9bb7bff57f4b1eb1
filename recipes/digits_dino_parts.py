"""The last layer and the loss of DINO (Caron et al. 2021, arXiv:2104.14294)."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.functional import linear, normalize

from artschool import Context, all_gather, losses, networks
from artschool.registry.signature import PositiveScheduled


@networks.register
class DinoPrototypes(nn.Module):
    """Cosines between features and learned prototypes.

    Args:
        features: Number of elements of a feature vector.
        prototypes: Number of prototypes.
    """

    def __init__(self, *, features: int, prototypes: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(prototypes, features))

    def forward(self, x: Tensor) -> Tensor:
        """(B, features) to logits (B, prototypes) in -1..1."""
        return linear(normalize(x, dim=1), normalize(self.weight, dim=1))


@losses.register(mean_over="samples")
class DinoLoss(nn.Module):
    """Cross entropy between what the teacher sees in a whole view and what the student sees in each other view.

    The center is the moving average of the teacher's logits. Centering and the low temperature balance each other, so
    that the teacher neither says the same of every image nor everything of each.

    Args:
        prototypes: Number of prototypes.
        momentum: Decay of the center.
    """

    center: Tensor

    def __init__(self, *, prototypes: int, momentum: float = 0.9) -> None:
        super().__init__()
        self._momentum = momentum
        self.register_buffer("center", torch.zeros(prototypes))

    def forward(
        self,
        targets: Tensor,
        wholes: Tensor,
        parts: Tensor,
        *,
        teacher_temperature: PositiveScheduled = 0.04,
        student_temperature: PositiveScheduled = 0.1,
        context: Context,
    ) -> Tensor:
        """Mean over all pairs of a whole view and another view.

        Args:
            targets: (2 * B, prototypes), the teacher's logits of two whole views, one after the other.
            wholes: The student's logits of the same views.
            parts: (N * B, prototypes), the student's logits of N smaller views.
            teacher_temperature: Divisor of the teacher's logits.
            student_temperature: Divisor of the student's logits.
            context: Gives whether this is training: an evaluation leaves the center alone.
        """
        taught = ((targets - self.center) / teacher_temperature).softmax(1).unflatten(0, (2, -1))
        learned = (torch.cat([wholes, parts]) / student_temperature).log_softmax(1).unflatten(0, (-1, taught.shape[1]))
        entropies = -torch.einsum("tbk,sbk->ts", taught, learned) / taught.shape[1]
        if context.training:
            self.center = self.center.lerp(all_gather(targets).mean(0), 1 - self._momentum)  # Of all processes.
        # A view is not compared with itself.
        return (entropies.sum() - entropies.diagonal().sum()) / (entropies.numel() - 2)
