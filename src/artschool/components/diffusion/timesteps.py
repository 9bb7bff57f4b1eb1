"""Which timesteps a diffusion trains on."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from artschool import ranks


def uniform_timesteps(batch: int, num_timesteps: int, device: torch.device) -> tuple[Tensor, Tensor]:
    """Timesteps (B,), all equally likely, and what their losses weigh, 1."""
    return torch.randint(num_timesteps, (batch,), device=device), torch.ones(batch, device=device)


def even_timesteps(batch: int, num_timesteps: int, device: torch.device) -> tuple[Tensor, Tensor]:
    """Timesteps (B,) spread evenly over all the processes' batches, and what their losses weigh, 1.

    The same for every batch of a size, so that losses can be compared.
    """
    places = torch.arange(batch, device=device) * ranks.world_size() + ranks.rank()
    total = batch * ranks.world_size()
    return (2 * places + 1) * num_timesteps // (2 * total), torch.ones(batch, device=device)


class LossSecondMoment(nn.Module):
    """Draws each timestep with probability proportional to the root mean square of its last losses.

    A drawn loss is weighted by the inverse of its probability, so that the mean stays that of uniform timesteps. Until
    every timestep has `history` losses they are uniform. What it keeps is equal on all processes and in its buffers.
    Losses that are NaN or infinite are not kept: one of them would leave nothing to draw from for good.

    Source: Nichol and Dhariwal 2021, arXiv:2102.09672, section 3.3, eq. 18.

    Args:
        num_timesteps: T.
        history: Losses kept for each timestep.
        uniform: The share of timesteps that are drawn uniformly nonetheless.
    """

    def __init__(self, num_timesteps: int, *, history: int = 10, uniform: float = 0.001) -> None:
        super().__init__()
        self._uniform = uniform
        self.register_buffer("losses", torch.zeros(num_timesteps, history, dtype=torch.float64))
        self.register_buffer("counts", torch.zeros(num_timesteps, dtype=torch.int64))
        self.losses: Tensor
        self.counts: Tensor

    def probabilities(self) -> Tensor:
        """(T,), of each timestep."""
        roots = self.losses.square().mean(1).sqrt()
        roots = torch.where((self.counts >= self.losses.shape[1]).all(), roots, torch.ones_like(roots))
        return roots / roots.sum() * (1 - self._uniform) + self._uniform / len(roots)

    def draw(self, batch: int) -> tuple[Tensor, Tensor]:
        """Timesteps (B,), and what their losses weigh, (B,)."""
        probabilities = self.probabilities()
        t = torch.multinomial(probabilities, batch, replacement=True)
        return t, (1 / (len(probabilities) * probabilities[t])).float()

    @torch.no_grad()
    def update(self, t: Tensor, losses: Tensor) -> None:
        """Remember the unweighted losses (B,) at t (B,), those of all processes."""
        t, losses = ranks.gather_rows(t), ranks.gather_rows(losses.detach())
        num_timesteps, history = self.losses.shape
        sound = losses.isfinite()
        same = (t[:, None] == t[None, :]) & sound
        before = same.tril(-1).sum(1)
        # More than `history` losses of one timestep in one batch would fall upon each other: the last ones count.
        kept = sound & (same.sum(1) - before <= history)
        spare = torch.zeros_like(self.losses[:1])
        table = torch.cat([self.losses, spare])
        table[torch.where(kept, t, num_timesteps), (self.counts[t] + before) % history] = losses.to(table.dtype)
        self.losses.copy_(table[:-1])
        self.counts.index_add_(0, t, sound.long())
