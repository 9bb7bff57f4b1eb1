"""A game of one move with three actions, its players, and the losses of PPO."""

from __future__ import annotations

from typing import TypedDict

import torch
from torch import Tensor, nn

from artschool import datasets, injectors, losses, networks


class Situation(TypedDict):
    seen: Tensor
    best: int


@datasets.register
class Situations:
    """What a player sees, (4,), and the best action."""

    def __len__(self) -> int:
        return 96

    def __getitem__(self, index: int) -> Situation:
        seen = torch.randn(4, generator=torch.Generator().manual_seed(index))
        return {"seen": seen, "best": int(seen[:3].argmax())}


@networks.register
class Policy(nn.Sequential):
    """From what is seen (B, 4) to the logits of actions (B, 3)."""

    def __init__(self) -> None:
        super().__init__(nn.Linear(4, 16), nn.Tanh(), nn.Linear(16, 3))


@networks.register
class Worth(nn.Module):
    """From what is seen (B, 4) to the expected reward (B,)."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(4, 16), nn.Tanh(), nn.Linear(16, 1))

    def forward(self, x: Tensor) -> Tensor:
        worth: Tensor = self.layers(x)
        return worth.squeeze(1)


@injectors.register
def act(logits: Tensor, best: Tensor) -> tuple[Tensor, Tensor]:
    """An action of each player, and its reward."""
    action = torch.multinomial(logits.softmax(1), 1).squeeze(1)
    return action, (action == best).float()


@injectors.register
def difference(x: Tensor, y: Tensor) -> Tensor:
    """`x - y`."""
    return x - y


@losses.register
def clipped_surrogate(new: Tensor, old: Tensor, action: Tensor, advantage: Tensor, *, epsilon: float) -> Tensor:
    """The negative of equation 7."""
    ratio = (log_probability(new, action) - log_probability(old, action)).exp()
    return -torch.minimum(ratio * advantage, ratio.clamp(1 - epsilon, 1 + epsilon) * advantage).mean()


@losses.register
def negative_entropy(logits: Tensor) -> Tensor:
    """The negative of the entropy S in equation 9."""
    return (logits.softmax(1) * logits.log_softmax(1)).sum(1).mean()


def log_probability(logits: Tensor, action: Tensor) -> Tensor:
    """That of an action, (B,)."""
    return logits.log_softmax(1).gather(1, action[:, None]).squeeze(1)
