"""The U-Net of diffusion models."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from artschool.components.networks.unet import Attention, Unet, sinusoids
from artschool.errors import ConfigError


def small(**options: object) -> Unet:
    torch.manual_seed(0)
    return Unet(**{"in_channels": 1, "width": 8, "multipliers": [1, 2], "blocks": 1, "attention": [2], **options})  # type: ignore[arg-type]


def awake(network: nn.Module) -> nn.Module:
    """With weights where it starts with zeros."""
    for parameter in network.parameters():
        if not parameter.any():
            nn.init.normal_(parameter, std=0.1)
    return network


X, T = torch.rand(2, 1, 8, 8), torch.tensor([3, 500])


@pytest.mark.parametrize(
    ("options", "channels"),
    [
        ({}, 1),
        ({"out_channels": 2}, 2),
        ({"multipliers": [1]}, 1),
        ({"multipliers": [1, 1, 2], "attention": [1, 4], "blocks": 2, "head_channels": 4}, 1),
        ({"width": 12, "dropout": 0.5}, 1),
    ],
)
def test_shapes(options: dict[str, object], channels: int) -> None:
    assert small(**options)(X, T).shape == (2, channels, 8, 8)


def test_it_starts_at_zero_and_every_parameter_learns() -> None:
    network = small(num_classes=3, image_channels=2)
    given = {"label": torch.tensor([0, 3]), "image": torch.rand(2, 2, 4, 4)}
    assert network(X, T, **given).abs().sum() == 0
    awake(network)(X, T, **given).square().sum().backward()
    for name, parameter in network.named_parameters():
        assert parameter.grad is not None and parameter.grad.abs().sum() > 0, name


def test_time_class_and_image_matter_for_each_sample_alone() -> None:
    network = awake(small(num_classes=3, image_channels=1)).eval()
    label, image = torch.tensor([0, 1]), torch.rand(2, 1, 8, 8)
    before = network(X, T, label, image)
    for changed in (
        network(X, torch.tensor([3, 501]), label, image),
        network(X, T, torch.tensor([0, 3]), image),
        network(X, T, label, torch.cat([image[:1], image[1:] + 0.1])),
    ):
        torch.testing.assert_close(changed[0], before[0])
        assert not torch.allclose(changed[1], before[1], atol=1e-5)


def test_an_image_of_another_size_is_enlarged() -> None:
    network = awake(small(image_channels=1)).eval()
    image = torch.rand(2, 1, 4, 4)
    enlarged = nn.functional.interpolate(image, (8, 8), mode="bilinear")
    torch.testing.assert_close(network(X, T, image=image), network(X, T, image=enlarged))


def test_scaled_times_are_times_times_the_scale() -> None:
    plain, scaled = awake(small()).eval(), awake(small(time_scale=1000.0)).eval()
    scaled.load_state_dict(plain.state_dict())
    torch.testing.assert_close(scaled(X, T / 1000), plain(X, T), rtol=0, atol=1e-4)


@pytest.mark.parametrize(
    ("options", "given", "said"),
    [
        (
            {},
            {"label": T},
            "unet: the option `num_classes` and the input `label` belong together. Fix: give both or none",
        ),
        (
            {"num_classes": 3},
            {},
            "unet: the option `num_classes` and the input `label` belong together. Fix: give both or none",
        ),
        (
            {"image_channels": 1},
            {},
            "unet: the option `image_channels` and the input `image` belong together. Fix: give both",
        ),
        (
            {"multipliers": [1, 1, 1, 1, 1]},
            {},
            "unet: height and width must be multiples of 16, got 8 x 8. Fix: use fewer multipliers, or pad the images",
        ),
    ],
)
def test_what_does_not_fit_is_told(options: dict[str, object], given: dict[str, object], said: str) -> None:
    with pytest.raises(ConfigError, match=f"^{said}"):
        small(**options)(X, T, **given)


def test_attention_mixes_places_but_no_samples() -> None:
    attention = awake(Attention(8, 4))
    x = torch.rand(2, 8, 3, 3, requires_grad=True)
    attention(x)[0, :, 0, 0].sum().backward()
    assert x.grad is not None
    assert x.grad[0, :, 2, 2].abs().sum() > 0 and x.grad[1].abs().sum() == 0


def test_sinusoids_tell_times_apart() -> None:
    found = sinusoids(torch.tensor([0, 1]), 5)
    assert found.shape == (2, 5)
    assert found[0].tolist() == [1.0, 1.0, 0.0, 0.0, 0.0]
    assert found[1].tolist() == pytest.approx([0.540302, 0.99995, 0.841471, 0.0099998, 0.0], abs=1e-6)
