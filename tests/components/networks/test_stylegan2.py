"""A generator that draws images from noise, and its critic."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from torch import nn

import artschool
from artschool.components.builtins import load_builtins
from artschool.components.networks.equalized import EqualizedConv, EqualizedLinear, ModulatedConv, activate
from artschool.components.networks.stylegan2 import Stylegan2, Stylegan2Critic
from artschool.errors import ConfigError
from artschool.registry import datasets

load_builtins()
Z = torch.randn(2, 8, generator=torch.Generator().manual_seed(1))


def generator(**options: object) -> Stylegan2:
    torch.manual_seed(0)
    return Stylegan2(**{"size": 32, "latent": 8, "width": 2, "max_width": 8, "mapping": 2, **options})  # type: ignore[arg-type]


def critic(**options: object) -> Stylegan2Critic:
    torch.manual_seed(0)
    return Stylegan2Critic(**{"size": 32, "width": 2, "max_width": 8, **options})  # type: ignore[arg-type]


def noisy(network: nn.Module) -> nn.Module:
    """With noise that matters, which it does not at the start."""
    for name, parameter in network.named_parameters():
        if name.endswith("strength"):
            nn.init.constant_(parameter, 0.5)
    return network


@pytest.mark.parametrize("size", [8, 32, 64, 128])
@pytest.mark.parametrize("channels", [1, 3])
def test_noise_becomes_images_of_every_size_and_those_become_logits(size: int, channels: int) -> None:
    images = generator(size=size, channels=channels)(Z)
    assert images.shape == (2, channels, size, size)
    assert critic(size=size, channels=channels)(images).shape == (2,)


def test_channels_double_with_each_lower_resolution_up_to_the_most() -> None:
    network = generator(size=32, width=2, max_width=8)
    assert [block.layers[-1].conv.weight.shape[0] for block in network.blocks] == [8, 8, 4, 2]  # type: ignore[union-attr, index]
    assert network.constant.shape == (1, 8, 4, 4)


def test_a_modulated_convolution_is_one_with_weights_for_each_sample() -> None:
    torch.manual_seed(0)
    conv, x, style = ModulatedConv(3, 5, 3, 4), torch.randn(2, 3, 6, 6), torch.randn(2, 4)
    scales = conv.scales(style)
    modulated = scales[:, None, :, None, None] * conv.weight[None]
    weights = modulated / modulated.square().sum((2, 3, 4), keepdim=True).sqrt()
    expected = torch.cat([F.conv2d(one[None], own, padding=1) for one, own in zip(x, weights, strict=True)])
    torch.testing.assert_close(conv(x, style), expected, rtol=1e-4, atol=1e-5)


def test_demodulation_restores_unit_variance_whatever_the_style() -> None:
    torch.manual_seed(0)
    conv, x = ModulatedConv(16, 8, 3, 4), torch.randn(4, 16, 64, 64)
    for style in (torch.zeros(4, 4), 30 * torch.randn(4, 4)):
        inner = conv(x, style)[:, :, 1:-1, 1:-1]  # The border sees zeros.
        torch.testing.assert_close(inner.var((2, 3)), torch.ones(4, 8), rtol=0.1, atol=0)
    assert ModulatedConv(16, 8, 3, 4, demodulate=False)(x, 30 * torch.randn(4, 4)).var() > 100


@torch.no_grad()
def test_equalized_layers_and_activations_keep_the_scale_of_values() -> None:
    torch.manual_seed(0)
    x = torch.randn(4096, 64)
    assert float(EqualizedLinear(64, 64)(x).var()) == pytest.approx(1, rel=0.1)
    slow = EqualizedLinear(64, 64, rate=0.01)
    assert float(slow(x).var()) == pytest.approx(1, rel=0.1) and float(slow.weight.std()) == pytest.approx(100, rel=0.1)
    assert float(EqualizedConv(16, 16, 3)(torch.randn(4, 16, 32, 32))[..., 1:-1, 1:-1].var()) == pytest.approx(
        1, rel=0.2
    )
    assert float(activate(x).square().mean()) == pytest.approx(1, rel=0.02)


def test_the_noise_reaches_every_resolution_and_every_parameter_learns() -> None:
    network, z = noisy(generator(num_classes=3)), Z.clone().requires_grad_()
    image = network(z, torch.tensor([0, 2]))
    image.square().sum().backward()
    assert z.grad is not None and (z.grad.abs().sum(1) > 0).all()
    for name, parameter in network.named_parameters():
        assert parameter.grad is not None and parameter.grad.abs().sum() > 0, name
    judge = critic(num_classes=3)
    judge(image.detach(), torch.tensor([0, 2])).sum().backward()
    for name, parameter in judge.named_parameters():
        assert parameter.grad is not None and parameter.grad.abs().sum() > 0, name


def test_noise_is_new_in_training_and_fixed_in_eval_mode() -> None:
    network = noisy(generator())
    assert not torch.equal(network(Z), network(Z))
    network.eval()
    torch.testing.assert_close(network(Z), network(Z), rtol=0, atol=0)
    torch.testing.assert_close(network(Z)[1:], network(Z[1:]))
    other = noisy(generator())
    other.load_state_dict(network.state_dict())
    assert torch.equal(other.eval()(Z), network(Z))


def test_a_label_changes_images_and_logits() -> None:
    network, judge = generator(num_classes=3).eval(), critic(num_classes=3)
    one, two = (network(Z, torch.tensor([label] * 2)) for label in (0, 1))
    assert not torch.allclose(one, two)
    assert not torch.allclose(judge(one, torch.tensor([0, 0])), judge(one, torch.tensor([1, 1])))
    for called, given in ((network, (Z,)), (generator(), (Z, torch.tensor([0, 1]))), (judge, (one,))):
        with pytest.raises(ConfigError, match="`num_classes` and the input `label` belong together"):
            called(*given)


def test_the_critic_sees_whether_all_images_are_equal() -> None:
    judge, images = critic(), torch.randn(2, 3, 32, 32, generator=torch.Generator().manual_seed(2))
    assert not torch.allclose(judge(images)[0], judge(images[:1].expand(2, -1, -1, -1))[0])


def test_a_size_that_is_no_power_of_two_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "file.yml"
    file.write_text(FILE.replace("size: 8, latent", "size: 48, latent"))
    with pytest.raises(ConfigError, match=r"networks\.gen\.size: .*expected 8, 16, 32, 64, 128, 256, 512 or 1024"):
        artschool.load(file)


def test_it_is_exported_for_any_batch() -> None:
    network = noisy(generator(size=8)).eval()
    batch = torch.export.Dim("batch", min=1, max=64)
    exported = torch.export.export(network, (Z,), dynamic_shapes=({0: batch},)).module()
    z = torch.randn(5, 8)
    torch.testing.assert_close(exported(z), network(z))


FILE = """
name: drawn
data: {train: {type: sklearn_digits, batch_size: 16}}
networks:
  gen: {type: stylegan2, size: 8, latent: 8, width: 8, max_width: 16, channels: 1, num_classes: 10}
  critic: {type: stylegan2_critic, size: 8, width: 8, max_width: 16, channels: 1, num_classes: 10}
steps:
  gen:
    trains: gen
    optimizer: {type: adam, lr: 5e-3, betas: [0.0, 0.99]}
    injectors:
      latents: {type: noise, in: image, shape: [8], out: z}
      draw: {type: forward, network: gen, in: [z, label], out: drawn}
    losses: {gan: {type: generator_gan, kind: vanilla, network: critic, fake: [drawn, label], weight: 1.0}}
  critic:
    trains: critic
    optimizer: {type: adam, lr: 5e-3, betas: [0.0, 0.99]}
    losses:
      gan:
        {type: discriminator_gan, kind: vanilla, network: critic, fake: [drawn, label], real: [image, label],
         weight: 1.0}
      r1: {type: gradient_penalty, kind: r1, network: critic, real: [image, label], weight: 0.05}
train: {iterations: 60, device: cpu}
"""


@pytest.mark.soak
def test_a_short_training_moves_the_images_towards_the_data(tmp_path: Path) -> None:
    """In `make soak`, since it trains for 60 iterations."""
    (tmp_path / "file.yml").write_text(FILE)
    run = artschool.load(tmp_path / "file.yml", run_dir=tmp_path / "run")
    run.loggers = []
    z, label = torch.randn(64, 8), torch.arange(64) % 10

    def distance() -> float:
        with torch.no_grad():
            return math.dist(run.networks["gen"](z, label).mean((0, 1)).flatten().tolist(), mean)

    digits = datasets.get("sklearn_digits").target()
    mean = torch.stack([digits[index]["image"] for index in range(256)]).mean((0, 1)).flatten().tolist()
    before = distance()
    run.train()
    assert distance() < 0.6 * before, (distance(), before)
