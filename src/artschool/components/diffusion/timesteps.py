"""Distributions of the timesteps on which a diffusion trains."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from artschool import ranks


def uniform_timesteps(batch: int, num_timesteps: int, device: torch.device) -> tuple[Tensor, Tensor]:
    """Return uniformly drawn timesteps (B,), and the weights of their losses, 1."""
    return torch.randint(num_timesteps, (batch,), device=device), torch.ones(batch, device=device)


def even_timesteps(batch: int, num_timesteps: int, device: torch.device) -> tuple[Tensor, Tensor]:
    """Return timesteps (B,) spread evenly over the batches of all processes, and the weights of their losses, 1.

    They are the same for every batch of a size, so that losses are comparable.
    """
    positions = torch.arange(batch, device=device) * ranks.world_size() + ranks.rank()
    total = batch * ranks.world_size()
    return (2 * positions + 1) * num_timesteps // (2 * total), torch.ones(batch, device=device)


class LossSecondMoment(nn.Module):
    """Draws each timestep with probability proportional to the root mean square of its last losses.

    A loss is weighted by the inverse of its probability, so that the mean stays that of uniform timesteps. The
    distribution is uniform until every timestep has `history` losses. The history is in buffers, and equal on all
    processes. NaN and infinite losses are ignored, because one of them would make the probabilities invalid
    permanently.

    Source: Nichol and Dhariwal 2021, arXiv:2102.09672, section 3.3, eq. 18.

    Args:
        num_timesteps: T.
        history: Number of losses kept for each timestep.
        uniform: Fraction of timesteps that are always drawn uniformly.
    """

    def __init__(self, num_timesteps: int, *, history: int = 10, uniform: float = 0.001) -> None:
        super().__init__()
        self._uniform = uniform
        self.register_buffer("losses", torch.zeros(num_timesteps, history, dtype=torch.float64))
        self.register_buffer("counts", torch.zeros(num_timesteps, dtype=torch.int64))
        self.losses: Tensor
        self.counts: Tensor

    def probabilities(self) -> Tensor:
        """Return the probability of each timestep, (T,)."""
        roots = self.losses.square().mean(1).sqrt()
        roots = torch.where((self.counts >= self.losses.shape[1]).all(), roots, torch.ones_like(roots))
        return roots / roots.sum() * (1 - self._uniform) + self._uniform / len(roots)

    def draw(self, batch: int) -> tuple[Tensor, Tensor]:
        """Draw timesteps (B,), and return them with the weights of their losses, (B,)."""
        probabilities = self.probabilities()
        t = torch.multinomial(probabilities, batch, replacement=True)
        return t, (1 / (len(probabilities) * probabilities[t])).float()

    @torch.no_grad()
    def update(self, t: Tensor, losses: Tensor) -> None:
        """Store the unweighted losses (B,) at t (B,), those of all processes."""
        t, losses = ranks.gather_rows(t), ranks.gather_rows(losses.detach())
        num_timesteps, history = self.losses.shape
        finite = losses.isfinite()
        same = (t[:, None] == t[None, :]) & finite
        before = same.tril(-1).sum(1)
        # If one batch has more than `history` losses of a timestep, only the last ones are kept.
        kept = finite & (same.sum(1) - before <= history)
        spare = torch.zeros_like(self.losses[:1])
        table = torch.cat([self.losses, spare])
        table[torch.where(kept, t, num_timesteps), (self.counts[t] + before) % history] = losses.to(table.dtype)
        self.losses.copy_(table[:-1])
        self.counts.index_add_(0, t, finite.long())
