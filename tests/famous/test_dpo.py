"""Rafailov et al. 2023, arXiv:2305.18290."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from tests.famous.compare import Batches, check_against


def published(networks: Mapping[str, nn.Module], batches: Batches) -> Iterator[Mapping[str, Tensor]]:
    """Appendix B: RMSprop with a warm-up, beta = 0.1, and a reference that is a copy of the policy."""
    policy, reference = networks["policy"], copy.deepcopy(networks["policy"])
    optimizer = torch.optim.RMSprop(policy.parameters(), lr=1e-3)
    warmup = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda iteration: min(1.0, (iteration + 1) / 10))

    def log_probability(network: nn.Module, tokens: Tensor) -> Tensor:
        rows = network(tokens).log_softmax(2)
        return torch.stack([rows[:, at - 1].gather(1, tokens[:, at, None])[:, 0] for at in range(4, 12)]).sum(0)

    for batch in batches:
        gains = []
        for tokens in (batch["chosen"], batch["rejected"]):
            with torch.no_grad():
                before = log_probability(reference, tokens)
            gains.append(log_probability(policy, tokens) - before)
        loss = -(0.1 * (gains[0] - gains[1])).sigmoid().log().mean()
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(policy.parameters(), 10.0)
        optimizer.step()
        warmup.step()
        yield {"align/dpo": loss}


@pytest.mark.usefixtures("registries")
def test_dpo_trains_as_published(tmp_path: Path) -> None:
    check_against(published, "dpo", tmp_path)
