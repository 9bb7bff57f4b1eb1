"""Gulrajani et al. 2017, arXiv:1704.00028."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from tests.famous.compare import Batches, check_against


def published(networks: Mapping[str, nn.Module], batches: Batches) -> Iterator[Mapping[str, Tensor]]:
    """Algorithm 1: lambda = 10, n_critic = 5, alpha = 0.0001, beta_1 = 0, beta_2 = 0.9. Losses are means over t."""
    gen, critic = networks["gen"], networks["critic"]
    of_gen, of_critic = (torch.optim.Adam(net.parameters(), lr=1e-4, betas=(0.0, 0.9)) for net in (gen, critic))
    for batch in batches:
        gaps, penalties = [], []
        for _ in range(5):
            x = batches.fresh("train")["point"]
            fake = gen(torch.randn(len(x), 4)).detach()
            gaps.append(critic(fake).mean() - critic(x).mean())
            between = fake + torch.rand(len(x), 1) * (x - fake)
            between.requires_grad_()
            (gradient,) = torch.autograd.grad(critic(between).sum(), between, create_graph=True)
            penalties.append((gradient.norm(dim=1) - 1).square().mean())
            of_critic.zero_grad()
            (gaps[-1] + 10 * penalties[-1]).backward()
            of_critic.step()

        of_gen.zero_grad()
        gen_loss = -critic(gen(torch.randn(len(batch["point"]), 4))).mean()
        gen_loss.backward()
        of_gen.step()
        yield {
            "critic/gan": torch.stack(gaps).mean(),
            "critic/penalty": torch.stack(penalties).mean(),
            "gen/gan": gen_loss,
        }


@pytest.mark.usefixtures("registries")
def test_a_wgan_with_gradient_penalty_trains_as_published(tmp_path: Path) -> None:
    check_against(published, "wgan_gp", tmp_path)
