"""The networks for images: shapes, where they start, and what they are made of."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from artschool.components.networks.edsr import EDSR
from artschool.components.networks.patch_critic import PatchCritic
from artschool.components.networks.rrdb import RRDB


def count(network: nn.Module) -> int:
    return sum(parameter.numel() for parameter in network.parameters())


@pytest.mark.parametrize("scale", [1, 2, 3, 4])
def test_edsr_enlarges(scale: int) -> None:
    network = EDSR(scale=scale, width=4, blocks=1)  # type: ignore[arg-type]  # a list of ints, not of literals
    assert network(torch.rand(2, 3, 5, 7)).shape == (2, 3, 5 * scale, 7 * scale)


@pytest.mark.parametrize("scale", [1, 2, 4])
def test_rrdb_enlarges(scale: int) -> None:
    network = RRDB(scale=scale, width=4, growth=2, blocks=1)  # type: ignore[arg-type]  # likewise
    assert network(torch.rand(2, 3, 5, 7)).shape == (2, 3, 5 * scale, 7 * scale)


@pytest.mark.parametrize(
    "network", [EDSR(width=4, blocks=1, skip="bicubic"), RRDB(scale=2, width=4, skip="bicubic", blocks=1)]
)
def test_a_bicubic_skip_starts_at_bicubic_interpolation(network: nn.Module) -> None:
    x = torch.rand(1, 3, 6, 6)
    assert torch.equal(network(x), F.interpolate(x, scale_factor=2.0, mode="bicubic"))


def test_edsr_has_the_parameters_of_its_paper() -> None:
    # Baseline of Lim et al.: 64 channels, 16 blocks of two 3 x 3 convolutions, one convolution before and one after.
    conv = 64 * 64 * 9 + 64
    assert count(EDSR(width=64, blocks=16)) == (3 * 64 * 9 + 64) + 32 * conv + (64 * 12 * 9 + 12)


def test_rrdb_has_the_parameters_of_esrgan() -> None:
    # The published x4 generator has 16,697,987.
    assert count(RRDB(scale=4, width=64, growth=32, blocks=23)) == 16_697_987


def test_a_residual_block_of_rrdb_is_scaled_by_a_fifth() -> None:
    network = RRDB(scale=1, width=2, growth=1, blocks=1)
    for parameter in network.body.parameters():
        nn.init.zeros_(parameter)
    x = torch.rand(1, 3, 4, 4)
    features = network.first(x)
    # Empty dense blocks are the identity, so the trunk adds nothing and `body_end` sees the features themselves.
    expected = network.last(F.leaky_relu(network.high(features + network.body_end(features)), 0.2))
    torch.testing.assert_close(network(x), expected)


@pytest.mark.parametrize(("layers", "side"), [(1, 15), (2, 7), (3, 3)])
def test_a_patch_critic_gives_a_map_of_logits(layers: int, side: int) -> None:
    assert PatchCritic(width=4, layers=layers)(torch.rand(2, 3, 32, 32)).shape == (2, 1, side, side)


def test_a_logit_sees_a_patch_of_70_pixels() -> None:
    # Three layers of stride 2 and two of stride 1 make the paper's 70 x 70; ours has one of stride 1: 46 x 46.
    critic = PatchCritic(width=4, layers=3, norm="none")
    x = torch.rand(1, 3, 96, 96, requires_grad=True)
    critic(x)[0, 0, 5, 5].backward()
    assert x.grad is not None
    touched = x.grad.abs().sum((0, 1)).nonzero()
    assert (touched.max(0).values - touched.min(0).values + 1).tolist() == [46, 46]


def test_samples_do_not_mix_in_a_patch_critic() -> None:
    critic = PatchCritic(width=4, layers=2, norm="group")
    x = torch.rand(3, 3, 16, 16)
    torch.testing.assert_close(critic(x)[:1], critic(x[:1]))


def test_spectral_norm_bounds_a_layer() -> None:
    critic = PatchCritic(width=4, layers=1, norm="spectral")
    critic.train()
    for _ in range(50):
        critic(torch.rand(1, 3, 8, 8))
    weight = critic.layers[0].weight.detach().flatten(1)  # type: ignore[operator]  # a convolution
    assert torch.linalg.matrix_norm(weight, 2) == pytest.approx(1.0, abs=1e-3)
