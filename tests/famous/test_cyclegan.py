"""Zhu et al. 2017, arXiv:1703.10593."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import l1_loss

from tests.famous.compare import Batches, check_against


class Pool:
    """Section 4: 5 images made earlier; one of them replaces a new image with a probability of 0.5."""

    def __init__(self) -> None:
        self.images: list[Tensor] = []

    def __call__(self, new: Tensor) -> Tensor:
        coins, picks = torch.rand(len(new)).tolist(), torch.randint(5, (len(new),)).tolist()
        returned = []
        for image, coin, pick in zip(new.detach(), coins, picks, strict=True):
            if len(self.images) < 5:
                self.images.append(image)
                returned.append(image)
            elif coin < 0.5:
                returned.append(self.images[pick])
                self.images[pick] = image
            else:
                returned.append(image)
        return torch.stack(returned)


def published(networks: Mapping[str, nn.Module], batches: Batches) -> Iterator[Mapping[str, Tensor]]:
    """Eq. 1 to 3 and section 5.2 with least squares, lambda = 10, and rates that fall to 0 in the second half."""
    to_b, to_a = networks["to_b"], networks["to_a"]
    critic_a, critic_b = networks["critic_a"], networks["critic_b"]
    pairs = (to_b, to_a), (critic_a, critic_b)
    generators, critics = (
        torch.optim.Adam(itertools.chain(one.parameters(), other.parameters()), lr=2e-4, betas=(0.5, 0.999))
        for one, other in pairs
    )
    schedule = torch.optim.lr_scheduler.LambdaLR(generators, lambda done: 1 - max(0, done - 10) / 10)
    pool_a, pool_b = Pool(), Pool()
    for batch in batches:
        a, b = batch["image"], batch["other.image"]
        fake_b, fake_a = to_b(a), to_a(b)
        losses = {
            "gan_b": (critic_b(fake_b) - 1).square().mean(),
            "gan_a": (critic_a(fake_a) - 1).square().mean(),
            "cycle_a": l1_loss(to_a(fake_b), a),
            "cycle_b": l1_loss(to_b(fake_a), b),
            "identity_b": l1_loss(to_b(b), b),
            "identity_a": l1_loss(to_a(a), a),
        }
        weights = {"gan_a": 1, "gan_b": 1, "cycle_a": 10, "cycle_b": 10, "identity_a": 5, "identity_b": 5}
        generators.zero_grad()
        torch.stack([weights[name] * loss for name, loss in losses.items()]).sum().backward()
        generators.step()
        schedule.step()

        pooled_a, pooled_b = pool_a(fake_a), pool_b(fake_b)
        of_a = (critic_a(a) - 1).square().mean() + critic_a(pooled_a).square().mean()
        of_b = (critic_b(b) - 1).square().mean() + critic_b(pooled_b).square().mean()
        critics.zero_grad()
        ((of_a + of_b) / 2).backward()
        critics.step()
        logged = {f"generators/{name}": loss for name, loss in losses.items()}
        yield logged | {"critics/critic_a": of_a, "critics/critic_b": of_b}


@pytest.mark.usefixtures("registries")
def test_a_cyclegan_trains_as_published(tmp_path: Path) -> None:
    check_against(published, "cyclegan", tmp_path)
