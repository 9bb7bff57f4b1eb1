"""Rombach et al. 2022, arXiv:2112.10752."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from tests.famous.compare import Batches, check_against

PER_EPOCH, WARMUP = 7, 4


def published(networks: Mapping[str, nn.Module], batches: Batches) -> Iterator[Mapping[str, Tensor]]:
    """Eq. 3 with the betas of Stable Diffusion; conditions are dropped as in Ho and Salimans 2022, algorithm 1.

    The average is that of `LitEma` of the authors. A second one begins at iteration 10.
    """
    encoder, text_encoder, unet = (networks[name] for name in ("first_stage", "text", "unet"))
    optimizer = torch.optim.AdamW(unet.parameters(), lr=1e-3, weight_decay=0.01)
    betas = torch.linspace(0.00085**0.5, 0.012**0.5, 1000, dtype=torch.float64) ** 2
    alpha_bar = torch.cumprod(1 - betas, 0)
    for iteration, batch in enumerate(batches):
        with torch.no_grad():
            latent = encoder(batch["image"]) / 5
            text, no_text = text_encoder(batch["tokens"]), text_encoder(batch["no_tokens"])
        text = torch.where(torch.rand(len(text))[:, None, None] < 0.25, no_text, text)
        t = torch.randint(1000, (len(text),))
        noise = torch.randn_like(latent)
        level = alpha_bar[t].view(-1, 1, 1, 1)
        noisy = level.sqrt().float() * latent + (1 - level).sqrt().float() * noise
        loss = (unet(noisy, t, text) - noise).square().mean()
        optimizer.param_groups[0]["lr"] = 1e-3 * 0.5 ** (iteration // PER_EPOCH) * min((iteration + 1) / WARMUP, 1)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        updates = iteration + 1
        decays = {"unet.ema": min(0.7, (1 + updates) / (10 + updates)), "unet.late": 0.5 if iteration >= 10 else 0.0}
        with torch.no_grad():
            for name, decay in decays.items():
                for average, weight in zip(networks[name].parameters(), unet.parameters(), strict=True):
                    average.mul_(decay).add_(weight, alpha=1 - decay)
        yield {"unet/noise": loss}


@pytest.mark.usefixtures("registries")
def test_latent_diffusion_trains_as_published(tmp_path: Path) -> None:
    check_against(published, "latent_diffusion", tmp_path)
