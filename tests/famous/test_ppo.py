"""Schulman et al. 2017, arXiv:1707.06347."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn
from torch.distributions import Categorical

from tests.famous.compare import Batches, check_against


def published(networks: Mapping[str, nn.Module], batches: Batches) -> Iterator[Mapping[str, Tensor]]:
    """Algorithm 1 with T = 1 and K = 4, on equation 9: c_1 = 0.5, c_2 = 0.01, epsilon = 0.2. Losses are means."""
    policy, value = networks["policy"], networks["value"]
    optimizer = torch.optim.Adam([*policy.parameters(), *value.parameters()], lr=3e-3)
    for batch in batches:
        seen = batch["seen"]
        with torch.no_grad():
            old = Categorical(logits=policy(seen))
            action = torch.multinomial(old.probs, 1).squeeze(1)
            reward = (action == batch["best"]).float()
            advantage = reward - value(seen)
            before = old.log_prob(action)
        rows = []
        for _ in range(4):
            new = Categorical(logits=policy(seen))
            ratio = torch.exp(new.log_prob(action) - before)
            surrogate = torch.min(ratio * advantage, torch.clamp(ratio, 0.8, 1.2) * advantage).mean()
            squared = (value(seen) - reward).square().mean()
            entropy = new.entropy().mean()
            optimizer.zero_grad()
            (-surrogate + 0.5 * squared - 0.01 * entropy).backward()
            optimizer.step()
            rows.append(torch.stack([-surrogate, squared, -entropy]))
        means = torch.stack(rows).mean(0)
        yield dict(zip(("learn/clipped", "learn/value", "learn/entropy"), means, strict=True))


@pytest.mark.usefixtures("registries")
def test_ppo_trains_as_published(tmp_path: Path) -> None:
    check_against(published, "ppo", tmp_path)
