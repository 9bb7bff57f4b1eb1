"""Random views of images."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from artschool.components.injectors.random_view import random_view

STILL = {"flip": 0.0, "brightness": 0.0, "contrast": 0.0, "saturation": 0.0, "grey": 0.0, "blur": 0.0}
WHOLE = (1.0, 1.0)


def view(x: Tensor, crop: tuple[float, float] = WHOLE, **options: float) -> Tensor:
    return random_view(x, crop=crop, **{**STILL, **options})


def test_with_everything_off_the_image_stays() -> None:
    x = torch.rand(4, 3, 9, 6)
    torch.testing.assert_close(view(x), x)


def test_a_flip_mirrors_columns() -> None:
    x = torch.rand(4, 1, 5, 6)
    torch.testing.assert_close(view(x, flip=1.0), x.flip(3))
    many = x[:1].expand(64, -1, -1, -1)
    mirrored = [torch.allclose(one, x[0].flip(2)) for one in view(many, flip=0.5)]
    assert 16 < sum(mirrored) < 48


def test_a_crop_shows_a_part_of_that_area() -> None:
    ramp = torch.linspace(0, 1, 200).repeat(256, 1, 200, 1)  # from left to right
    sides = []
    for image in (ramp, ramp.mT):
        torch.manual_seed(0)
        found = view(image, crop=(0.25, 0.5)).flatten(1)
        sides.append((199 * (found.amax(1) - found.amin(1)) + 1) / 200)
    width, height = sides
    area, aspect = width * height, width / height
    assert 0.24 < area.min() < 0.27 and 0.47 < area.max() < 0.51
    assert 0.74 < aspect.min() < 0.8 and 1.25 < aspect.max() < 1.35


def test_brightness_scales_and_contrast_spreads() -> None:
    x = 0.3 + 0.1 * torch.rand(64, 1, 4, 4)
    factor = view(x, brightness=0.4) / x
    assert factor.amin() >= 0.6 and factor.amax() <= 1.4
    assert factor.std((1, 2, 3)).amax() < 1e-4 and factor.std() > 0.1  # one factor for each image
    spread = view(x, contrast=0.4)
    torch.testing.assert_close(spread.mean((1, 2, 3)), x.mean((1, 2, 3)))
    assert (spread.std((1, 2, 3)) / x.std((1, 2, 3))).std() > 0.1


def test_grey_takes_the_colour() -> None:
    x = torch.rand(8, 3, 4, 4)
    found = view(x, grey=1.0)
    torch.testing.assert_close(found[:, 0], found[:, 2])
    torch.testing.assert_close(found[:, 0], 0.299 * x[:, 0] + 0.587 * x[:, 1] + 0.114 * x[:, 2])


def test_a_blur_keeps_the_mean_and_takes_the_edges() -> None:
    x = torch.zeros(32, 1, 41, 41)
    x[:, :, 20, 20] = 1.0
    found = view(x, blur=1.0)
    torch.testing.assert_close(found.sum((1, 2, 3)), torch.ones(32))
    assert found[:, 0, 20, 20].amin() < 0.1
    assert found[0, 0, 20, 23] == 0  # cut off at a tenth of the side: two pixels to each side
    assert torch.equal(view(x, blur=1e-12), x)


@pytest.mark.parametrize("channels", [1, 3])
def test_two_calls_give_two_views_in_range(channels: int) -> None:
    x = torch.rand(4, channels, 8, 8)
    first, second = random_view(x), random_view(x)
    assert first.shape == x.shape and not torch.equal(first, second)
    assert first.amin() >= 0 and first.amax() <= 1
