"""What holds for every network that ships, proven on a small one of each."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from artschool.components.builtins import load_builtins
from artschool.data.seeds import seed_all
from artschool.registry import networks

load_builtins()
ADAPTERS = {"spandrel", "diffusers", "timm", "torchvision", "transformers"}
"""They build somebody else's."""
Inputs = Callable[[int], tuple[Tensor, ...]]


def images(*shape: int) -> Inputs:
    return lambda batch: (torch.rand(batch, *shape),)


SMALL: dict[str, tuple[dict[str, Any], Inputs]] = {
    "edsr": ({"width": 4, "blocks": 1}, images(3, 6, 6)),
    "mlp": ({"in_features": 8, "out_features": 3, "hidden": [4]}, images(2, 4)),
    "patch_critic": ({"width": 4, "layers": 2}, images(3, 16, 16)),
    "numbers": ({"count": 3}, lambda batch: ()),
    "resnet": ({"width": 4, "small": True, "classes": 3}, images(3, 16, 16)),
    "rrdb": ({"scale": 2, "width": 4, "growth": 2, "blocks": 1}, images(3, 6, 6)),
    "spynet": ({"levels": 2, "width": 4, "kernel": 3}, lambda batch: (torch.rand(batch, 3, 8, 8),) * 2),
    "stylegan2": (
        {"size": 8, "latent": 4, "width": 4, "mapping": 1, "num_classes": 3},
        lambda batch: (torch.randn(batch, 4), torch.arange(batch) % 3),
    ),
    "stylegan2_critic": ({"size": 8, "width": 4}, images(3, 8, 8)),
    "unet": (
        {"in_channels": 1, "width": 8, "multipliers": [1, 2], "blocks": 1, "attention": [2], "num_classes": 3},
        lambda batch: (torch.randn(batch, 1, 8, 8), torch.rand(batch), torch.arange(batch) % 3),
    ),
    "vector_quantizer": ({"num_codes": 8, "dim": 2}, images(2, 5)),
    "vgg": ({"depth": 16, "layers": ["relu1_2"]}, images(3, 8, 8)),
    "vgg_critic": ({"image_size": 8, "width": 4, "stages": 1, "hidden": 4}, images(3, 8, 8)),
    "vq_vae": ({"width": 4, "halvings": 1, "blocks": 1, "num_codes": 8, "code_dim": 2}, images(3, 8, 8)),
}


def made(name: str) -> nn.Module:
    torch.manual_seed(0)
    network: nn.Module = networks.get(name).target(**SMALL[name][0])
    return network.eval()


def outputs(network: nn.Module, inputs: tuple[Tensor, ...]) -> list[Tensor]:
    result = network(*inputs)
    parts = result.values() if isinstance(result, dict) else result if isinstance(result, list | tuple) else [result]
    return [part for part in parts if part.is_floating_point()]


def test_every_network_has_a_small_one() -> None:
    own = {n for n in networks.names() if networks.get(n).target.__module__.startswith("artschool.")}
    assert own - ADAPTERS == SMALL.keys()


@pytest.mark.parametrize("name", SMALL)
def test_a_batch_of_one_and_half_precision_are_taken(name: str) -> None:
    network, inputs = made(name), SMALL[name][1](1)
    before = [value.clone() for value in inputs]
    whole = outputs(network, inputs)
    with torch.autocast("cpu", torch.bfloat16):
        half = outputs(network, inputs)
    for one, other in zip(whole, half, strict=True):
        assert one.isfinite().all() and other.isfinite().all() and one.shape == other.shape
    for now, then in zip(inputs, before, strict=True):
        assert torch.equal(now, then)


@pytest.mark.parametrize("name", SMALL)
@pytest.mark.parametrize("training", [False, True])
def test_nothing_is_made_on_another_device_or_read_back_from_it(name: str, training: bool) -> None:
    network = made(name).to("meta").train(training)
    for result in outputs(network, tuple(value.to("meta") for value in SMALL[name][1](2))):
        assert result.device.type == "meta"


@pytest.mark.parametrize("name", sorted(SMALL.keys() - {"numbers", "vector_quantizer", "vq_vae"}))
def test_the_gradient_is_that_of_a_finite_difference(name: str) -> None:
    """Along one random direction of the input. Codes are chosen, so theirs is the straight-through one, by design.

    `numbers` has no input.
    """
    network = made(name).double()
    seed_all(1)
    inputs = tuple(value.double() if value.is_floating_point() else value for value in SMALL[name][1](2))
    for parameter in network.parameters():
        if not parameter.any():  # What starts at nothing would hide what comes before it.
            nn.init.normal_(parameter, std=0.1)
    x = inputs[0].requires_grad_()
    direction = torch.randn_like(x)

    def value(shifted: Tensor) -> Tensor:
        return sum((part.square().sum() for part in outputs(network, (shifted, *inputs[1:]))), torch.zeros(()))

    (gradient,) = torch.autograd.grad(value(x), x)
    step = 1e-6
    with torch.no_grad():
        difference = (value(x + step * direction) - value(x - step * direction)) / (2 * step)
    assert gradient.any()
    torch.testing.assert_close((gradient * direction).sum(), difference, rtol=1e-4, atol=1e-6)
