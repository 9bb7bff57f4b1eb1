"""Prompts with two answers, a small language model, and the loss of DPO."""

from __future__ import annotations

from typing import TypedDict

import torch
from torch import Tensor, nn
from torch.nn.functional import logsigmoid

from artschool import datasets, injectors, losses, networks

PROMPT = 4
"""Number of tokens of a prompt."""


class Preference(TypedDict):
    chosen: Tensor
    rejected: Tensor


@datasets.register
class Preferences:
    """Two texts of 12 tokens, which begin with the same prompt."""

    def __len__(self) -> int:
        return 40

    def __getitem__(self, index: int) -> Preference:
        draw = torch.Generator().manual_seed(index)
        chosen, rejected = torch.randint(10, (2, 12), generator=draw)
        return {"chosen": chosen, "rejected": torch.cat([chosen[:PROMPT], rejected[PROMPT:]])}


@networks.register
class Speaker(nn.Module):
    """From tokens (B, T) to the logits of the next ones (B, T, 10)."""

    def __init__(self) -> None:
        super().__init__()
        self.table, self.reader, self.head = nn.Embedding(10, 16), nn.GRU(16, 16, batch_first=True), nn.Linear(16, 10)

    def forward(self, tokens: Tensor) -> Tensor:
        logits: Tensor = self.head(self.reader(self.table(tokens))[0])
        return logits


@injectors.register
def gain(logits: Tensor, reference: Tensor, tokens: Tensor) -> Tensor:
    """By how much an answer has become more likely: the logarithm of the ratio of its probabilities, (B,)."""
    return log_probability(logits, tokens) - log_probability(reference, tokens)


@losses.register
def dpo(gain: Tensor, loss: Tensor, *, beta: float) -> Tensor:
    """Equation 7, of the gains of the chosen and of the rejected answers."""
    return -logsigmoid(beta * (gain - loss)).mean()


def log_probability(logits: Tensor, tokens: Tensor) -> Tensor:
    """That of the tokens after the prompt, (B,)."""
    answer = logits[:, PROMPT - 1 : -1].log_softmax(2)
    return answer.gather(2, tokens[:, PROMPT:, None]).sum((1, 2))
