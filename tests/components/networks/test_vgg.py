"""VGG's features: torchvision's names, its layers, its weights files."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import Tensor

from artschool.components.networks.vgg import Vgg
from artschool.engine.pretrained_weights import load_weights
from artschool.errors import CheckpointError


def on_meta(depth: int, *layers: str) -> Vgg:
    with torch.device("meta"):
        return Vgg(depth=16 if depth == 16 else 19, layers=[*layers])


@pytest.mark.parametrize(
    ("depth", "count", "convolutions"),
    [
        (16, 14_714_688, [0, 2, 5, 7, 10, 12, 14, 17, 19, 21, 24, 26, 28]),
        (19, 20_024_384, [0, 2, 5, 7, 10, 12, 14, 16, 19, 21, 23, 25, 28, 30, 32, 34]),
    ],
)
def test_parameters_have_torchvisions_names_and_numbers(depth: int, count: int, convolutions: list[int]) -> None:
    network = on_meta(depth, "pool5")
    assert sum(parameter.numel() for parameter in network.parameters()) == count
    expected = [f"features.{index}.{part}" for index in convolutions for part in ("weight", "bias")]
    assert [*network.state_dict()] == expected


def test_only_what_a_chosen_layer_needs_is_built() -> None:
    assert len(on_meta(19, "conv5_4").features) == 35
    assert len(on_meta(16, "conv1_1", "relu2_1").features) == 7


def test_layers_come_by_name_in_the_order_of_the_network() -> None:
    torch.manual_seed(0)
    network = Vgg(depth=16, layers=["pool1", "relu1_2", "conv1_2"])
    maps = network(torch.rand(2, 3, 6, 8))
    assert {name: tuple(value.shape) for name, value in maps.items()} == {
        "conv1_2": (2, 64, 6, 8),
        "relu1_2": (2, 64, 6, 8),
        "pool1": (2, 64, 3, 4),
    }
    assert maps["conv1_2"].min() < 0  # not overwritten by the ReLU
    assert torch.equal(maps["relu1_2"], maps["conv1_2"].relu())


def test_pixels_are_normalised_by_imagenets_mean_and_deviation() -> None:
    network = Vgg(depth=16, layers=["conv1_1"])
    mean = torch.tensor([0.485, 0.456, 0.406])[None, :, None, None].expand(1, 3, 4, 4)
    bias = network.features[0].bias
    assert isinstance(bias, Tensor)
    torch.testing.assert_close(network(mean)["conv1_1"], bias[None, :, None, None].expand(1, 64, 4, 4))
    deviation = torch.tensor([0.229, 0.224, 0.225])[None, :, None, None]
    plain = network.features[0](torch.ones(1, 3, 4, 4))
    torch.testing.assert_close(network(mean + deviation)["conv1_1"], plain)


def test_an_unknown_layer_is_told() -> None:
    with pytest.raises(ValueError, match=r"^unknown layer 'conv5_4' of VGG16\. Available layers: .*conv5_3, .*\.$"):
        Vgg(depth=16, layers=["conv5_4"])


def torchvisions() -> dict[str, Tensor]:
    """A file of torchvision for a network whose first convolution alone is needed: the rest may have any shape."""
    rest = {f"features.{index}.weight": torch.zeros(1) for index in (2, 5, 28)}
    own = {"features.0.weight": torch.ones(64, 3, 3, 3), "features.0.bias": torch.ones(64)}
    return {**own, **rest, "classifier.0.weight": torch.zeros(1), "classifier.6.bias": torch.zeros(1)}


def test_a_file_of_torchvision_loads_and_what_no_layer_needs_is_passed_over(tmp_path: Path) -> None:
    torch.save(torchvisions(), tmp_path / "vgg16.pth")
    network = Vgg(depth=16, layers=["conv1_1"])
    assert str(load_weights(network, tmp_path / "vgg16.pth")) == "2 tensors loaded"
    assert torch.equal(network.state_dict()["features.0.weight"], torch.ones(64, 3, 3, 3))


def test_a_file_that_lacks_a_layer_is_refused(tmp_path: Path) -> None:
    torch.save(torchvisions(), tmp_path / "vgg16.pth")
    with pytest.raises(
        CheckpointError, match=r"does not fit the network: 3 of 4 tensors match; 1 missing: features\.2\.bias\."
    ):
        load_weights(Vgg(depth=16, layers=["conv1_2"]), tmp_path / "vgg16.pth")
