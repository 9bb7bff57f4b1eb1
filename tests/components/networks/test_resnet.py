"""ResNet and the linear layers."""

from __future__ import annotations

from typing import Literal

import pytest
import torch
from torch import nn

from artschool.components.networks.mlp import MLP
from artschool.components.networks.resnet import ResNet


def count(network: nn.Module) -> int:
    return sum(parameter.numel() for parameter in network.parameters())


@pytest.mark.parametrize(("depth", "parameters"), [(18, 11_689_512), (34, 21_797_672), (50, 25_557_032)])
def test_it_has_the_parameters_of_its_paper(depth: Literal[18, 34, 50], parameters: int) -> None:
    # The published sizes of torchvision's models of that name.
    with torch.device("meta"):
        assert count(ResNet(depth=depth, classes=1000)) == parameters


def test_its_parameters_have_torchvisions_names() -> None:
    with torch.device("meta"):
        names = set(ResNet(depth=50, classes=10).state_dict())
    assert {
        "conv1.weight", "bn1.running_mean", "layer1.0.downsample.0.weight", "layer1.0.downsample.1.running_var",
        "layer3.5.conv3.weight", "layer4.2.bn3.bias", "fc.weight", "fc.bias",
    } <= names  # fmt: skip
    assert len(names) == 320


@pytest.mark.parametrize(("depth", "features"), [(18, 32), (50, 128)])
def test_without_classes_it_gives_features(depth: Literal[18, 50], features: int) -> None:
    network = ResNet(depth=depth, in_channels=1, width=4, small=True)
    assert network.features == features
    assert network(torch.rand(2, 1, 8, 8)).shape == (2, features)


def test_large_images_are_halved_five_times_and_small_ones_thrice() -> None:
    seen: list[torch.Size] = []
    for small in (False, True):
        network = ResNet(width=2, small=small)
        network.get_submodule("layer4").register_forward_hook(lambda module, args, out: seen.append(out.shape[2:]))
        network(torch.rand(1, 3, 64, 64))
    assert seen == [(2, 2), (8, 8)]


def test_mlp_without_hidden_layers_is_linear() -> None:
    network = MLP(in_features=6, out_features=2)
    x = torch.rand(3, 2, 3)
    assert count(network) == 14
    torch.testing.assert_close(network(x) + network(-x), 2 * network(torch.zeros_like(x)))


def test_mlp_puts_norm_and_relu_after_each_layer_but_the_last() -> None:
    names = [type(layer).__name__ for layer in MLP(in_features=6, out_features=2, hidden=[4, 3], norm="batch").layers]
    assert names == ["Linear", "BatchNorm1d", "ReLU", "Linear", "BatchNorm1d", "ReLU", "Linear"]
