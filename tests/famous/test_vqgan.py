"""Esser et al. 2021, arXiv:2012.09841."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import l1_loss, relu

from tests.famous.compare import Batches, check_against


def published(networks: Mapping[str, nn.Module], batches: Batches) -> Iterator[Mapping[str, Tensor]]:
    """Eq. 5 to 7 with the hinge loss; the critic starts at iteration 5, as `disc_start` of the authors' code does."""
    gen, critic = networks["gen"], networks["critic"]
    of_gen, of_critic = (torch.optim.Adam(n.parameters(), lr=1e-3, betas=(0.5, 0.9)) for n in (gen, critic))
    last = gen.get_parameter("last.weight")
    for iteration, batch in enumerate(batches):
        real = batch["image"]
        fake, distances = gen(real)
        losses = {"gen/distance": l1_loss(fake, real), "gen/codebook": distances.mean()}
        total = losses["gen/distance"] + losses["gen/codebook"]
        if iteration >= 5:
            losses["gen/adversarial"] = -critic(fake).mean()
            norms = [
                torch.autograd.grad(losses[name], last, retain_graph=True)[0].norm()
                for name in ("gen/distance", "gen/adversarial")
            ]
            weight = 0.8 * (norms[0] / (norms[1] + 1e-6)).clamp(0, 1e4)  # Eq. 7.
            total = total + weight * losses["gen/adversarial"]
        of_gen.zero_grad()
        total.backward()
        of_gen.step()

        if iteration >= 5:
            hinge = relu(1 - critic(real)).mean() + relu(1 + critic(fake.detach())).mean()
            of_critic.zero_grad()
            (hinge / 2).backward()
            of_critic.step()
            losses["critic/hinge"] = hinge
        yield losses


@pytest.mark.usefixtures("registries")
def test_a_vqgan_trains_as_published(tmp_path: Path) -> None:
    check_against(published, "vqgan", tmp_path)
