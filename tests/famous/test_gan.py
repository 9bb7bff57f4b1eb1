"""Goodfellow et al. 2014, arXiv:1406.2661."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits

from tests.famous.compare import Batches, check_against


def published(networks: Mapping[str, nn.Module], batches: Batches) -> Iterator[Mapping[str, Tensor]]:
    """Algorithm 1 with k = 1. The generator maximizes log D(G(z)), as section 3 proposes."""
    gen, critic = networks["gen"], networks["critic"]
    of_gen, of_critic = (torch.optim.SGD(network.parameters(), lr=0.05, momentum=0.5) for network in (gen, critic))
    for batch in batches:
        real = batch["point"]
        fake = gen(torch.randn(len(real), 4)).detach()
        of_critic.zero_grad()
        critic_loss = cross_entropy(critic(real), 1.0) + cross_entropy(critic(fake), 0.0)
        critic_loss.backward()
        of_critic.step()

        of_gen.zero_grad()
        gen_loss = cross_entropy(critic(gen(torch.randn(len(real), 4))), 1.0)
        gen_loss.backward()
        of_gen.step()
        yield {"critic/gan": critic_loss, "gen/gan": gen_loss}


def cross_entropy(logits: Tensor, label: float) -> Tensor:
    return binary_cross_entropy_with_logits(logits, torch.full_like(logits, label))


@pytest.mark.usefixtures("registries")
def test_a_gan_trains_as_published(tmp_path: Path) -> None:
    check_against(published, "gan", tmp_path)
