"""Tiles: equal to the whole where they see enough, without seams elsewhere, and never larger than they may be."""

from __future__ import annotations

from fractions import Fraction

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from artschool.apply.sizes import Sizes, find_sizes
from artschool.apply.tiles import Tiling, apply_in_tiles, reflected
from artschool.components.networks.edsr import EDSR
from artschool.errors import ConfigError


@pytest.fixture
def upscaler() -> nn.Module:
    """Three convolutions, which look three pixels far, and sub-pixel convolution."""
    layers = [nn.Conv2d(3, 8, 3, padding=1), nn.ReLU(), nn.Conv2d(8, 8, 3, padding=1), nn.ReLU()]
    return nn.Sequential(*layers, nn.Conv2d(8, 12, 3, padding=1), nn.PixelShuffle(2)).requires_grad_(False)


def known(function: nn.Module, shape: tuple[int, ...]) -> Sizes:
    sizes = find_sizes(function, shape)
    assert sizes is not None
    return sizes


@pytest.mark.parametrize("batch", [1, 3])
@pytest.mark.parametrize("tile", [16, 17, 40, 64])
def test_tiles_equal_the_whole_where_they_see_enough(upscaler: nn.Module, tile: int, batch: int) -> None:
    image = torch.rand(1, 3, 61, 47)
    sizes = known(upscaler, (3, 16, 16))
    assert [float(factor) for factor in sizes.factor] == [2, 2]
    assert (sizes.multiple, sizes.channels) == ((1, 1), 3)
    torch.testing.assert_close(
        apply_in_tiles(upscaler, image, sizes, Tiling(tile, 6, batch)), upscaler(image), atol=1e-6, rtol=0
    )


def test_the_function_sees_no_more_than_a_tile(upscaler: nn.Module) -> None:
    seen: list[tuple[int, ...]] = []

    def function(values: Tensor) -> Tensor:
        seen.append(tuple(values.shape))
        result: Tensor = upscaler(values)
        return result

    apply_in_tiles(function, torch.rand(1, 3, 100, 30), known(upscaler, (3, 16, 16)), Tiling(32, 8, 2))
    assert set(seen) == {(1, 3, 32, 30)}
    assert len(seen) == 6  # Each has 16 rows of its own, and the first and the last one 8 more.


def test_a_seam_is_no_larger_than_other_differences() -> None:
    """Of a network that looks farther than a tile sees, tiles differ, but nowhere by a step."""
    net = EDSR(scale=2, width=16, blocks=8).eval().requires_grad_(False)
    rows, columns = torch.meshgrid(torch.linspace(0, 9, 96), torch.linspace(0, 5, 96), indexing="ij")
    image = ((rows.sin() + columns.cos()) / 4 + 0.5).expand(1, 3, 96, 96)
    sizes, whole = known(net, (3, 16, 16)), net(image)
    tiled = apply_in_tiles(net, image, sizes, Tiling(40, 12))
    hard = apply_in_tiles(net, image, sizes, Tiling(40, 0))

    def steps(values: Tensor) -> Tensor:
        """The largest change of the error from one column to the next, away from the border."""
        largest: Tensor = (values - whole)[..., 16:-16, 16:-16].diff(dim=-1).abs().amax((0, 1, 2))
        return largest

    assert float(steps(hard).max()) > 10 * float(steps(tiled).max())
    assert float(steps(tiled).max()) < float(whole.diff(dim=-1).abs().max())


def test_a_network_that_needs_a_multiple_gets_it() -> None:
    halves = [nn.Conv2d(1, 4, 3, stride=2, padding=1), nn.Conv2d(4, 4, 3, stride=2, padding=1)]
    net = nn.Sequential(*halves, nn.Upsample(scale_factor=4), nn.Conv2d(4, 1, 3, padding=1)).requires_grad_(False)
    sizes = known(net, (1, 32, 48))
    assert sizes.multiple == (4, 4)
    image = torch.rand(2, 1, 41, 30)
    expected = net(reflected(image, (44, 32)))[..., :41, :30]
    torch.testing.assert_close(apply_in_tiles(net, image, sizes, Tiling()), expected)
    # Tiles begin at multiples, where the network sees the same.
    wide = torch.rand(1, 1, 32, 200)
    torch.testing.assert_close(apply_in_tiles(net, wide, sizes, Tiling(64, 30)), net(wide), atol=1e-6, rtol=0)


def test_a_network_of_one_size_is_applied_in_tiles_of_it() -> None:
    net = nn.Sequential(nn.Flatten(), nn.Linear(64, 64), nn.Unflatten(1, (1, 8, 8))).requires_grad_(False)
    linear = net[1]
    assert isinstance(linear, nn.Linear)
    linear.weight.copy_(torch.eye(64) * 2)
    linear.bias.zero_()
    sizes = known(net, (1, 8, 8))
    assert sizes.is_fixed
    for shape in ((1, 1, 8, 8), (1, 1, 30, 21), (2, 1, 3, 5)):
        image = torch.rand(shape)
        torch.testing.assert_close(apply_in_tiles(net, image, sizes, Tiling()), 2 * image, atol=1e-6, rtol=0)


@pytest.mark.parametrize(
    ("net", "factor"), [(nn.Conv2d(3, 8, 4, stride=4), Fraction(1, 4)), (nn.Upsample(scale_factor=1.5), Fraction(3, 2))]
)
def test_results_may_be_smaller_or_larger_by_a_fraction(net: nn.Module, factor: Fraction) -> None:
    net.requires_grad_(False)
    sizes = known(net, (3, 16, 16))
    assert sizes.factor == (factor, factor)
    image = torch.rand(1, 3, 64, 48)
    torch.testing.assert_close(apply_in_tiles(net, image, sizes, Tiling(24, 4)), net(image), atol=1e-6, rtol=0)


def test_sound_is_divided_along_time() -> None:
    net = nn.Conv1d(1, 1, 9, padding=4).requires_grad_(False)
    sound = torch.rand(1, 1, 5000)
    sizes = known(net, (1, 160))
    torch.testing.assert_close(apply_in_tiles(net, sound, sizes, Tiling(512, 16)), net(sound), atol=1e-6, rtol=0)


@pytest.mark.parametrize("net", [nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten()), nn.Conv2d(3, 3, 3)])
def test_results_of_other_sizes_have_no_sizes(net: nn.Module) -> None:
    assert find_sizes(net, (3, 16, 16)) is None


def test_a_reflection_may_be_longer_than_the_image() -> None:
    row = torch.tensor([1.0, 2, 3]).reshape(1, 1, 3)
    assert reflected(row, (9,)).flatten().tolist() == [1, 2, 3, 2, 1, 2, 3, 2, 1]
    image = torch.rand(1, 1, 5, 6)
    assert torch.equal(reflected(image, (7, 9)), F.pad(image, (0, 3, 0, 2), mode="reflect"))
    assert reflected(row[..., :1], (3,)).flatten().tolist() == [1, 1, 1]


def test_a_tile_must_be_larger_than_what_it_shares() -> None:
    with pytest.raises(ConfigError, match=r"--tile 32 --overlap 16: expected a tile of more than twice the overlap"):
        Tiling(32, 16)
