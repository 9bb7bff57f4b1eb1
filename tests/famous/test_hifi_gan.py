"""Kong et al. 2020, arXiv:2010.05646."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import chain
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from tests.famous.compare import Batches, check_against

PER_EPOCH = 7


def published(networks: Mapping[str, nn.Module], batches: Batches) -> Iterator[Mapping[str, Tensor]]:
    """Equations 1 to 7: the critic first, then the generator. Each epoch lowers the rate (section 3), here faster."""
    gen, critic, mel = networks["gen"], networks["critic"], networks["mel"]
    judged: Any = critic.judged
    optimizers = [
        torch.optim.AdamW(network.parameters(), lr=2e-4, betas=(0.8, 0.99), weight_decay=0.01)
        for network in (critic, gen)
    ]
    decays = [torch.optim.lr_scheduler.ExponentialLR(optimizer, 0.5) for optimizer in optimizers]
    for iteration, batch in enumerate(batches):
        wave, fake = batch["wave"], gen(batch["bands"])
        optimizers[0].zero_grad()
        pairs = zip(critic(wave), critic(fake.detach()), strict=True)
        critic_loss = sum_of([(real - 1).square().mean() + fake.square().mean() for real, fake in pairs])
        critic_loss.backward()
        optimizers[0].step()

        optimizers[1].zero_grad()
        _, real_features = judged(wave)
        logits, fake_features = judged(fake)
        adversarial = sum_of([(part - 1).square().mean() for part in logits])
        layers = zip(chain(*real_features), chain(*fake_features), strict=True)
        features = sum_of([F.l1_loss(ours, theirs.detach()) for theirs, ours in layers])
        bands = F.l1_loss(mel(fake), batch["bands"])
        (adversarial + 2 * features + 45 * bands).backward()
        optimizers[1].step()
        yield {"critic/gan": critic_loss, "gen/adversarial": adversarial, "gen/features": features, "gen/mel": bands}
        if (iteration + 1) % PER_EPOCH == 0:
            for decay in decays:
                decay.step()


def sum_of(terms: list[Tensor]) -> Tensor:
    return torch.stack(terms).sum()


@pytest.mark.usefixtures("registries")
def test_hifi_gan_trains_as_published(tmp_path: Path) -> None:
    check_against(published, "hifi_gan", tmp_path)
