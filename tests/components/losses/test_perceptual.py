"""Distances between feature maps: perceptual, style, and LPIPS."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn, tensor

from artschool.components.losses.lpips import Lpips
from artschool.components.losses.perceptual import perceptual
from artschool.components.losses.style import gram, style
from artschool.errors import CheckpointError, ConfigError


class Maps(nn.Module):
    """Multiples of x, in the container that it is given."""

    def __init__(self, factors: Any) -> None:
        super().__init__()
        self.factors = factors

    def forward(self, x: Tensor) -> Any:
        if isinstance(self.factors, dict):
            return {name: x * factor for name, factor in self.factors.items()}
        if isinstance(self.factors, list):
            return [x * factor for factor in self.factors]
        return x * self.factors


FAKE, REAL = tensor([[[[1.0, 3.0]]]]), tensor([[[[0.0, 0.0]]]])


def test_a_network_may_return_one_map_a_list_or_a_mapping() -> None:
    assert perceptual(Maps(2.0), FAKE, REAL).item() == 4.0  # mean(2, 6)
    assert perceptual(Maps([1.0, 2.0]), FAKE, REAL).item() == 2.0 + 4.0
    assert perceptual(Maps({"a": 1.0, "b": 2.0}), FAKE, REAL).item() == 2.0 + 4.0


def test_layers_are_chosen_and_weighted_by_name() -> None:
    assert perceptual(Maps({"a": 1.0, "b": 2.0}), FAKE, REAL, layer_weights={"b": 0.5}).item() == 2.0
    assert perceptual(Maps([1.0, 2.0]), FAKE, REAL, layer_weights={"0": 3.0, "1": 1.0}).item() == 6.0 + 4.0
    assert perceptual(Maps(1.0), FAKE, REAL, criterion="l2").item() == 5.0  # mean(1, 9)


def test_real_images_may_have_a_network_of_their_own() -> None:
    assert perceptual(Maps(1.0), FAKE, FAKE, real_network=Maps(3.0)).item() == 4.0  # mean(2, 6)


def test_fakes_learn_and_real_images_do_not() -> None:
    fake, real = FAKE.clone().requires_grad_(), REAL.clone().requires_grad_()
    for value in (perceptual(Maps(1.0), fake, real), style(Maps(1.0), fake, real)):
        gradients = torch.autograd.grad(value, [fake, real], allow_unused=True)
        assert gradients[0] is not None and gradients[0].abs().sum() > 0
        assert gradients[1] is None


def test_what_a_network_does_not_return_is_told() -> None:
    with pytest.raises(ConfigError, match=r"^unknown layer 'relu2'\. Available layers: b, relu1\.$"):
        perceptual(Maps({"relu1": 1.0, "b": 2.0}), FAKE, REAL, layer_weights={"relu2": 1.0})
    with pytest.raises(ConfigError, match=r"^the networks return different maps: 0, 1 for fake, 0 for real$"):
        perceptual(Maps([1.0, 2.0]), FAKE, REAL, real_network=Maps(1.0))
    with pytest.raises(ConfigError, match=r"^a feature network must return a tensor, .* got NoneType$"):
        perceptual(Nothing(), FAKE, REAL)


class Nothing(nn.Module):
    def forward(self, x: Tensor) -> None:
        return None


def test_gram_matrices_by_hand() -> None:
    features = tensor([[[[1.0, 2.0]], [[0.0, 3.0]]]])  # two channels of two places
    assert torch.equal(gram(features), tensor([[[5.0, 6.0], [6.0, 9.0]]]) / 4)


def test_style_by_hand_and_without_regard_to_places() -> None:
    fake, real = tensor([[[[1.0, 2.0]], [[0.0, 3.0]]]]), torch.zeros(1, 2, 1, 2)
    assert style(Maps(1.0), fake, real).item() == (25 + 36 + 36 + 81) / 16
    # Gatys et al. 2015, eq. 4: 1 / (4 N^2 M^2) times the squares of sums over places, for N = M = 2.
    assert style(Maps(1.0), fake, real).item() == 4 * (25 + 36 + 36 + 81) / (4 * 4 * 4)
    assert style(Maps(1.0), fake, fake.flip(3)).item() == 0.0
    assert style(Maps(1.0), fake, fake.repeat(1, 1, 3, 1)).item() == 0.0
    twice = style(Maps({"a": 1.0, "b": 1.0}), fake, real, layer_weights={"a": 1.0, "b": 1.0})
    assert twice.item() == 2 * style(Maps(1.0), fake, real).item()


CHANNELS = (64, 128, 256, 512, 512)


class Layers(nn.Module):
    """Random feature maps with the channels of VGG16's."""

    def __init__(self, channels: tuple[int, ...] = CHANNELS) -> None:
        super().__init__()
        self.layers = nn.ModuleList(nn.Conv2d(3, c, 1) for c in channels)

    def forward(self, x: Tensor) -> list[Tensor]:
        return [layer(x) for layer in self.layers]


def test_lpips_agrees_with_torchmetrics_on_the_same_features() -> None:
    from torchmetrics.functional.image.lpips import _normalize_tensor

    torch.manual_seed(0)
    network, fake, real = Layers().requires_grad_(False), torch.rand(2, 3, 4, 5), torch.rand(2, 3, 4, 5)
    file = Path(str(files("torchmetrics.functional.image"))) / "lpips_models" / "vgg.pth"
    weights = torch.load(file, map_location="cpu", weights_only=True)
    expected = torch.zeros(())
    for index, (one, other) in enumerate(zip(network(fake), network(real), strict=True)):
        squares = (_normalize_tensor(one) - _normalize_tensor(other)).square()
        linear = torch.nn.functional.conv2d(squares, weights[f"lin{index}.model.1.weight"])
        expected += linear.mean()
    torch.testing.assert_close(Lpips()(network, fake, real), expected)
    assert Lpips()(network, fake, fake).item() == 0.0


def test_lpips_by_hand_with_weights_of_ones_own(tmp_path: Path) -> None:
    file = tmp_path / "own.pth"
    torch.save({"lin0.model.1.weight": tensor([2.0, 10.0]).view(1, 2, 1, 1)}, file)
    loss = Lpips(weights=file)
    assert [*loss.state_dict()] == []  # the file has them: a checkpoint need not
    fake, real = tensor([[[[3.0]], [[4.0]]]]), tensor([[[[5.0]], [[0.0]]]])
    # Unit vectors (0.6, 0.8) and (1, 0): 2 * 0.16 + 10 * 0.64
    assert loss(Maps(1.0), fake, real).item() == pytest.approx(6.72)


def test_lpips_tells_what_does_not_fit(tmp_path: Path) -> None:
    x = torch.rand(1, 3, 2, 2)
    with pytest.raises(ConfigError, match=r"^lpips: expected feature maps of \[64, .*\] channels, got \[64, 7\]$"):
        Lpips()(Layers((64, 7)), x, x)
    with pytest.raises(CheckpointError, match=r"none\.pth: file does not exist$"):
        Lpips(weights=tmp_path / "none.pth")
    torch.save({"conv.weight": torch.zeros(2)}, tmp_path / "other.pth")
    with pytest.raises(CheckpointError, match=r"other\.pth: missing 'lin0\.model\.1\.weight', the weights of a layer$"):
        Lpips(weights=tmp_path / "other.pth")
