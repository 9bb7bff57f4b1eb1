"""The critic of SRGAN and ESRGAN."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from artschool.components.networks.vgg_critic import Norm, VggCritic
from artschool.errors import ConfigError


def test_it_has_the_parameters_of_esrgan() -> None:
    # BasicSR's critic for 128 x 128 with 64 channels: by hand from its layers.
    shapes = {name: tuple(p.shape) for name, p in VggCritic(norm="batch").named_parameters()}
    channels = [64, 128, 256, 512, 512]
    expected: dict[str, tuple[int, ...]] = {"conv0_0.weight": (64, 3, 3, 3), "conv0_0.bias": (64,)}
    for stage, (before, out) in enumerate(zip([3, *channels], channels, strict=False)):
        if stage:
            expected |= {f"conv{stage}_0.weight": (out, before, 3, 3)}
            expected |= {f"bn{stage}_0.{name}": (out,) for name in ("weight", "bias")}
        expected |= {f"conv{stage}_1.weight": (out, out, 4, 4)}
        expected |= {f"bn{stage}_1.{name}": (out,) for name in ("weight", "bias")}
    expected |= {"linear1.weight": (100, 512 * 16), "linear1.bias": (100,)}
    expected |= {"linear2.weight": (1, 100), "linear2.bias": (1,)}
    assert shapes == expected


@pytest.mark.parametrize("norm", ["batch", "group", "none", "spectral"])
def test_each_image_gets_a_logit(norm: Norm) -> None:
    critic = VggCritic(image_size=16, width=8, stages=3, norm=norm)
    assert critic(torch.rand(2, 3, 16, 16)).shape == (2, 1)
    assert [tuple(f.shape) for f in critic.features(torch.rand(2, 3, 16, 16))] == [
        (2, 8, 8, 8),
        (2, 16, 4, 4),
        (2, 32, 2, 2),
    ]
    kinds = {type(module) for module in critic.modules()}
    assert (nn.BatchNorm2d in kinds, nn.GroupNorm in kinds) == (norm == "batch", norm == "group")


@pytest.mark.parametrize(("norm", "mixes"), [("batch", True), ("group", False), ("none", False)])
def test_only_batch_norm_mixes_samples(norm: Norm, mixes: bool) -> None:
    critic = VggCritic(image_size=8, width=8, stages=2, norm=norm)
    x = torch.rand(3, 3, 8, 8)
    alone = critic(x[:2])
    assert torch.allclose(critic(x)[:2], alone, atol=1e-6) is not mixes


def test_spectral_weights_have_a_largest_singular_value_of_one() -> None:
    critic = VggCritic(image_size=8, width=4, stages=1, norm="spectral")
    for _ in range(50):
        critic(torch.rand(1, 3, 8, 8))
    for layer in (critic.get_submodule("conv0_1"), critic.linear1):
        weight = layer.weight
        assert isinstance(weight, torch.Tensor)
        assert torch.linalg.matrix_norm(weight.flatten(1), 2).item() == pytest.approx(1.0, abs=0.01)


def test_a_size_that_does_not_fit_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"^vgg_critic: image_size must be a multiple of 32 for 5 stages, got 100$"):
        VggCritic(image_size=100)
    critic = VggCritic(image_size=8, width=4, stages=2)
    with pytest.raises(ConfigError, match=r"^vgg_critic: images must match image_size 8, got \(16, 8\)$"):
        critic(torch.rand(1, 3, 16, 8))
