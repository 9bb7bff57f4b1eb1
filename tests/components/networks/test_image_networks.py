"""The networks for images: shapes, where they start, and what they are made of."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from artschool.components.networks.edsr import EDSR
from artschool.components.networks.patch_critic import PatchCritic
from artschool.components.networks.rrdb import RRDB
from artschool.engine.pretrained_weights import load_weights
from artschool.errors import ConfigError


def count(network: nn.Module) -> int:
    return sum(parameter.numel() for parameter in network.parameters())


@pytest.mark.parametrize("scale", [1, 2, 3, 4])
def test_edsr_enlarges(scale: int) -> None:
    network = EDSR(scale=scale, width=4, blocks=1)  # type: ignore[arg-type]  # a list of ints, not of literals
    assert network(torch.rand(2, 3, 5, 7)).shape == (2, 3, 5 * scale, 7 * scale)


@pytest.mark.parametrize("scale", [1, 2, 4, 8])
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


def test_each_residual_of_rrdb_is_scaled_by_a_fifth() -> None:
    network = RRDB(scale=1, width=2, growth=1, blocks=1)
    for parameter in network.body.parameters():
        nn.init.zeros_(parameter)
    x = torch.rand(1, 3, 4, 4)
    features = network.conv_first(x)
    # Empty dense blocks are the identity, so the block adds a fifth of its input.
    body = features + network.conv_body(1.2 * features)
    expected = network.conv_last(F.leaky_relu(network.conv_hr(body), 0.2))
    torch.testing.assert_close(network(x), expected)


def enlarged(weights: dict[str, torch.Tensor], x: torch.Tensor, names: dict[str, str]) -> torch.Tensor:
    """ESRGAN's generator with one block, from the figures of its paper."""

    def conv(x: torch.Tensor, name: str) -> torch.Tensor:
        return F.conv2d(x, weights[f"{name}.weight"], weights[f"{name}.bias"], padding=1)

    first = conv(x, names["first"])
    out = first
    for dense in range(1, 4):
        features = [out]
        for index in range(1, 5):
            features.append(F.leaky_relu(conv(torch.cat(features, 1), names["dense"] % (dense, index)), 0.2))
        out = out + 0.2 * conv(torch.cat(features, 1), names["dense"] % (dense, 5))
    out = first + conv(first + 0.2 * out, names["body"])
    for name in names["ups"].split():
        out = F.leaky_relu(conv(F.interpolate(out, scale_factor=2), name), 0.2)
    return conv(F.leaky_relu(conv(out, names["high"]), 0.2), names["last"])


LAYOUTS = {
    ("oldest", 1): ("model.0", "model.1.sub.0.RDB%d.conv%d.0", "model.1.sub.1", "", "model.2", "model.4"),
    ("oldest", 2): ("model.0", "model.1.sub.0.RDB%d.conv%d.0", "model.1.sub.1", "model.3", "model.5", "model.7"),
    ("oldest", 4): (
        "model.0", "model.1.sub.0.RDB%d.conv%d.0", "model.1.sub.1", "model.3 model.6", "model.8", "model.10"
    ),
    ("older", 4): (
        "conv_first", "RRDB_trunk.0.RDB%d.conv%d", "trunk_conv", "upconv1 upconv2", "HRconv", "conv_last"
    ),
    ("BasicSR", 4): ("conv_first", "body.0.rdb%d.conv%d", "conv_body", "conv_up1 conv_up2", "conv_hr", "conv_last"),
}  # fmt: skip


@pytest.mark.parametrize(("layout", "scale"), LAYOUTS)
def test_published_weights_of_esrgan_give_its_images(layout: str, scale: Literal[1, 2, 4], tmp_path: Path) -> None:
    names = dict(zip(("first", "dense", "body", "ups", "high", "last"), LAYOUTS[layout, scale], strict=True))
    sizes = {names["first"]: (3, 4), names["body"]: (4, 4), names["high"]: (4, 4), names["last"]: (4, 3)}
    sizes |= dict.fromkeys(names["ups"].split(), (4, 4))
    for dense in range(1, 4):
        sizes |= {names["dense"] % (dense, index + 1): (4 + 2 * index, 2 if index < 4 else 4) for index in range(5)}
    weights = {f"{name}.weight": torch.randn(out, into, 3, 3) / 5 for name, (into, out) in sizes.items()}
    weights |= {f"{name}.bias": torch.randn(out) / 5 for name, (_, out) in sizes.items()}
    torch.save(weights, tmp_path / "esrgan.pth")
    network, x = RRDB(scale=scale, width=4, growth=2, blocks=1), torch.rand(2, 3, 5, 7)
    report = load_weights(network, tmp_path / "esrgan.pth")
    assert (report.missing, report.unexpected) == ([], [])
    torch.testing.assert_close(network(x), enlarged(weights, x, names))


def test_bilinear_means_are_those_of_the_enlarged_input() -> None:
    network, x = RRDB(scale=4, width=4, growth=2, blocks=1, skip="bilinear_means"), torch.rand(1, 3, 5, 7)
    bilinear = F.interpolate(x, scale_factor=4.0, mode="bilinear")
    torch.testing.assert_close(F.avg_pool2d(network(x), 4), F.avg_pool2d(bilinear, 4))


def test_rrdb_gives_features() -> None:
    x = torch.rand(1, 3, 6, 8)
    image, features = RRDB(width=4, growth=2, blocks=1, output="image_and_features")(x)
    assert (image.shape, features.shape) == ((1, 3, 24, 32), (1, 4, 6, 8))
    only = RRDB(width=4, growth=2, blocks=1, output="features")
    assert only(x).shape == (1, 4, 6, 8)
    assert not [name for name, _ in only.named_parameters() if name.startswith(("conv_up", "conv_hr", "conv_last"))]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            {"skip": "bicubic", "first_stride": 2},
            "rrdb: `skip: bicubic` requires `first_stride: 1`, since the input has another size",
        ),
        (
            {"variant": "dl_art_school", "scale": 1},
            "rrdb: `variant: dl_art_school` has no scale of 1: its smallest is 2",
        ),
    ],
)
def test_options_of_rrdb_that_contradict(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError) as error:
        RRDB(width=4, blocks=1, **options)
    assert str(error.value) == message


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
