"""Kingma and Welling 2014, arXiv:1312.6114, with the annealing of Bowman et al. 2016, arXiv:1511.06349."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits

from tests.famous.compare import Batches, check_against


def published(networks: Mapping[str, nn.Module], batches: Batches) -> Iterator[Mapping[str, Tensor]]:
    """Algorithm 1 with the estimator of equation 10. The weight of the divergence rises linearly from 0 to 1."""
    encoder, decoder = networks["encoder"], networks["decoder"]
    optimizer = torch.optim.Adam([*encoder.parameters(), *decoder.parameters()], lr=0.01)
    for iteration, batch in enumerate(batches):
        x = batch["dot"]
        mean, log_variance = encoder(x)
        z = mean + (log_variance / 2).exp() * torch.randn_like(mean)
        reconstruction = binary_cross_entropy_with_logits(decoder(z), x, reduction="none").sum(1).mean()
        kl = (-0.5 * (1 + log_variance - mean**2 - log_variance.exp())).sum(1).mean()
        optimizer.zero_grad()
        (reconstruction + min(iteration / 12, 1) * kl).backward()
        optimizer.step()
        yield {"vae/reconstruction": reconstruction, "vae/kl": kl}


@pytest.mark.usefixtures("registries")
def test_a_vae_with_annealed_divergence_trains_as_published(tmp_path: Path) -> None:
    check_against(published, "annealed_vae", tmp_path)
