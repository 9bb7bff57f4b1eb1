"""Yin et al. 2024, arXiv:2405.14867, without the GAN loss."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import mse_loss

from tests.famous.compare import Batches, check_against


def published(networks: Mapping[str, nn.Module], batches: Batches) -> Iterator[Mapping[str, Tensor]]:
    """Section 4.2: the fake score is updated 5 times for each update of the generator, each time on fresh samples."""
    gen, fake, teacher = networks["gen"], networks["fake"], networks["teacher"]
    of_gen = torch.optim.AdamW(gen.parameters(), lr=1e-3)
    of_fake = torch.optim.AdamW(fake.parameters(), lr=2e-3)
    for batch in batches:
        scores = []
        for _ in range(5):
            fresh = batches.fresh("train")
            x = gen(fresh["z"], fresh["largest"]).detach()
            noisy, sigma = diffused(x)
            scores.append(mse_loss(fake(noisy, sigma), x))
            of_fake.zero_grad()
            scores[-1].backward()
            of_fake.step()

        x = gen(batch["z"], batch["largest"])
        with torch.no_grad():
            noisy, sigma = diffused(x)
            of_fakes, of_data = fake(noisy, sigma), teacher(noisy, sigma)
            gradient = (of_fakes - of_data) / (x - of_data).abs().mean(1, keepdim=True)
        of_gen.zero_grad()
        x.backward(gradient / x.numel())
        of_gen.step()
        yield {"fake/score": torch.stack(scores).mean(), "gen/matching": 0.5 * gradient.square().mean()}


def diffused(x: Tensor) -> tuple[Tensor, Tensor]:
    sigma = 0.1 + 2.9 * torch.rand(len(x))
    return x + sigma[:, None] * torch.randn_like(x), sigma


@pytest.mark.usefixtures("registries")
def test_dmd2_trains_as_published(tmp_path: Path) -> None:
    check_against(published, "dmd2", tmp_path)
