"""Wu et al. 2016, arXiv:1610.07584."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from tests.famous.compare import Batches, check_against
from tests.famous.test_gan import cross_entropy


def published(networks: Mapping[str, nn.Module], batches: Batches) -> Iterator[Mapping[str, Tensor]]:
    """Section 3.2: update the critic only if its accuracy in the batch is not higher than 80%."""
    gen, critic = networks["gen"], networks["critic"]
    of_gen = torch.optim.Adam(gen.parameters(), lr=0.005, betas=(0.5, 0.999))
    of_critic = torch.optim.Adam(critic.parameters(), lr=0.02, betas=(0.5, 0.999))
    updates = 0
    for batch in batches:
        of_real = critic(batch["point"])
        of_fake = critic(gen(torch.randn(len(of_real), 4)).detach())
        real_loss, fake_loss = cross_entropy(of_real, 1.0), cross_entropy(of_fake, 0.0)
        accuracy = torch.cat([of_real > 0, of_fake < 0]).float().mean()
        if accuracy <= 0.8:
            of_critic.zero_grad()
            (real_loss + fake_loss).backward()
            of_critic.step()
            updates += 1

        of_gen.zero_grad()
        gen_loss = cross_entropy(critic(gen(torch.randn(len(of_real), 4))), 1.0)
        gen_loss.backward()
        of_gen.step()
        is_open = (accuracy <= 0.8).float()
        yield {"critic/real": real_loss, "critic/fake": fake_loss, "gen/gan": gen_loss, "critic/open": is_open}
    assert 0 < updates < 20


@pytest.mark.usefixtures("registries")
def test_a_gan_with_a_balanced_critic_trains_as_published(tmp_path: Path) -> None:
    check_against(published, "balanced_gan", tmp_path)
