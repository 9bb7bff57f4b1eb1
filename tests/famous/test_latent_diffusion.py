"""Rombach et al. 2022, arXiv:2112.10752, with the guidance of Ho and Salimans 2022, arXiv:2207.12598."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from tests.famous.compare import Batches, check_against


def published(networks: Mapping[str, nn.Module], batches: Batches) -> Iterator[Mapping[str, Tensor]]:
    """Equation 2 on latents, conditions dropped with probability 1/4, and an average as `LitEma` of the authors.

    A second average begins at iteration 10.
    """
    first_stage, unet = networks["first_stage"], networks["unet"]
    optimizer = torch.optim.AdamW(unet.parameters(), lr=0.01, weight_decay=0.01)
    kept = torch.cumprod(1 - torch.linspace(1e-4, 0.1, 50), 0)
    for iteration, batch in enumerate(batches):
        with torch.no_grad():
            z = first_stage(batch["picture"])
        t = torch.randint(0, 50, (len(z),))
        noise = torch.randn_like(z)
        label = batch["label"].masked_fill(torch.rand(len(z)) < 0.25, 4)
        alpha = kept[t].unsqueeze(1)
        loss = (unet(alpha.sqrt() * z + (1 - alpha).sqrt() * noise, t, label) - noise).square().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        updates = iteration + 1
        decays = {"unet.ema": min(0.7, (1 + updates) / (10 + updates)), "unet.warm": 0.5 if iteration >= 10 else 0.0}
        with torch.no_grad():
            for name, decay in decays.items():
                for average, parameter in zip(networks[name].parameters(), unet.parameters(), strict=True):
                    average.sub_((1 - decay) * (average - parameter))
        yield {"unet/simple": loss}


@pytest.mark.usefixtures("registries")
def test_latent_diffusion_trains_as_published(tmp_path: Path) -> None:
    check_against(published, "latent_diffusion", tmp_path)
