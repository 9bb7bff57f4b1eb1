"""Karras et al. 2020, arXiv:1912.04958."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import softplus

from tests.famous.compare import Batches, check_against

LAZY = 4
"""Updates of the main loss for each of a regularizer, whose weight is as many times as large (section 3.1)."""

HALF_LIFE, RAMP_UP = 40, 0.5
"""Half-life of the average in samples, and its largest part of the samples so far (10,000 and 0.05 in their code)."""


def published(networks: Mapping[str, nn.Module], batches: Batches) -> Iterator[Mapping[str, Tensor]]:
    """The non-saturating loss; R1 and the path length lazily, each with an update of the same Adam (section 3.1)."""
    gen, average, critic = (networks[name] for name in ("gen", "gen.ema", "critic"))
    of_gen, of_critic = (
        torch.optim.Adam(network.parameters(), lr=0.0016, betas=(0.0, 0.992)) for network in (gen, critic)
    )
    lengths: list[Tensor] = []
    for iteration, batch in enumerate(batches):
        real = batch["image"]
        gen_loss = softplus(-critic(generated(gen, len(real))[1])).mean()
        update(of_gen, gen_loss)
        losses = {"gen/gan": gen_loss}
        if iteration % LAZY == 0:
            losses["path/length"] = path_length(*generated(gen, len(real)), lengths)
            update(of_gen, 2 * LAZY * losses["path/length"])

        fake = generated(gen, len(real))[1].detach()
        losses["critic/gan"] = softplus(-critic(real)).mean() + softplus(critic(fake)).mean()
        update(of_critic, losses["critic/gan"])
        if iteration % LAZY == 0:
            losses["r1/r1"] = r1(critic, real)
            update(of_critic, 10 * LAZY * losses["r1/r1"])
        half_life = min(HALF_LIFE, RAMP_UP * iteration * len(real))
        decay = 0.5 ** (len(real) / max(half_life, 1e-8))
        with torch.no_grad():
            for own, weight in zip(average.parameters(), gen.parameters(), strict=True):
                own.lerp_(weight, 1 - decay)
        yield losses


def generated(gen: Any, number: int) -> tuple[Tensor, Tensor]:
    """Styles and their images."""
    styles = gen.styles(torch.randn(number, 2, 4))
    return styles, gen(styles)


def update(optimizer: torch.optim.Optimizer, loss: Tensor) -> None:
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()


def path_length(styles: Tensor, images: Tensor, earlier: list[Tensor]) -> Tensor:
    """Equation 4. Its constant a is the moving average of the lengths, those of this batch excluded."""
    noise = torch.randn_like(images) / math.sqrt(images[0, 0].numel())
    (gradient,) = torch.autograd.grad((images * noise).sum(), styles, create_graph=True)
    lengths = gradient.square().sum(2).mean(1).sqrt()
    mean = earlier[0] if earlier else lengths.detach()
    for each in earlier[1:]:
        mean = 0.99 * mean + 0.01 * each
    earlier.append(lengths.detach().mean())
    return (lengths - mean).square().mean()


def r1(critic: nn.Module, real: Tensor) -> Tensor:
    """Mescheder et al. 2018, arXiv:1801.04406, equation 9, without gamma."""
    real = real.requires_grad_()
    (gradient,) = torch.autograd.grad(critic(real).sum(), real, create_graph=True)
    return gradient.square().sum((1, 2, 3)).mean() / 2


@pytest.mark.usefixtures("registries")
def test_stylegan2_trains_as_published(tmp_path: Path) -> None:
    check_against(published, "stylegan2", tmp_path)
