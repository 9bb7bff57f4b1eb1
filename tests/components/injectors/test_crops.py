"""Corners, borders and random parts of images."""

import pytest
import torch
from torch import Tensor

from artschool.components.injectors.crop_border import crop_border
from artschool.components.injectors.random_resized_crop import random_resized_crop
from artschool.errors import ConfigError
from artschool.steps.state import State
from tests.components.examples.example import Example


def numbered(batch: int, height: int, width: int) -> Tensor:
    """Every pixel its own number; the samples are alike."""
    return torch.arange(float(height * width)).view(1, 1, height, width).repeat(batch, 1, 1, 1)


def corners(x: Tensor, options: str) -> list[Tensor]:
    call = Example(
        "injectors", f"{{type: corner_crops, in: x, {options}, out: [a, b, c, d, e]}}", lambda batch: {}
    ).bind(torch.device("cpu"))
    state = State({"x": x}, writer="test")
    call(state)
    return [state.values[key] for key in "abcde"]


def test_corners_overlap_where_they_have_to() -> None:
    found = [crop.flatten().tolist() for crop in corners(numbered(1, 3, 4), "size: 2")]
    assert found == [[0, 1, 4, 5], [0, 1, 4, 5], [2, 3, 6, 7], [4, 5, 8, 9], [6, 7, 10, 11]]


def test_corners_may_be_resized_and_have_to_fit() -> None:
    assert corners(numbered(1, 3, 4), "size: 2, resize: 4")[4].shape == (1, 1, 4, 4)
    with pytest.raises(ConfigError, match="corner_crops cuts 4 x 4, but the images are 3 x 4"):
        corners(numbered(1, 3, 4), "size: 4")


def test_a_border_of_the_same_width_goes() -> None:
    assert crop_border(numbered(1, 4, 5), margin=1).flatten().tolist() == [6, 7, 8, 11, 12, 13]
    assert crop_border(numbered(1, 2, 2), margin=0).shape == (1, 1, 2, 2)


def test_a_shift_as_wide_as_the_margin_reaches_both_ends_and_leaves_the_size() -> None:
    torch.manual_seed(0)
    cropped = crop_border(numbered(200, 6, 7), margin=2, max_shift=2)
    assert cropped.shape == (200, 1, 2, 3)
    starts = cropped[:, 0, 0, 0]
    assert set(starts.tolist()) == {7.0 * y + x for y in range(5) for x in range(5)}
    inner = cropped - starts[:, None, None, None]
    assert {tuple(one.flatten().tolist()) for one in inner} == {(0, 1, 2, 7, 8, 9)}


def test_a_shift_beyond_the_margin_or_a_margin_beyond_the_image_is_refused() -> None:
    with pytest.raises(ConfigError, match="max_shift must be at most the margin of 2, got 3"):
        crop_border(numbered(1, 8, 8), margin=2, max_shift=3)
    with pytest.raises(ConfigError, match="a margin of 2 leaves nothing of an image of 4 x 8 pixels"):
        crop_border(numbered(1, 4, 8), margin=2)


def test_the_whole_area_is_the_whole_image() -> None:
    x = torch.rand(2, 3, 5, 5)
    for mode in ("nearest", "bilinear"):
        assert torch.allclose(random_resized_crop(x, size=5, min_area=1.0, mode=mode), x, atol=1e-6)


def test_crops_are_square_parts_that_differ_by_sample() -> None:
    torch.manual_seed(0)
    ramp = torch.stack(torch.meshgrid(torch.arange(20.0), torch.arange(30.0), indexing="ij")).expand(300, 2, 20, 30)
    crops = random_resized_crop(ramp, size=4, min_area=0.25)
    steps_down, steps_right = crops[:, 0, 2, 0] - crops[:, 0, 1, 0], crops[:, 1, 0, 2] - crops[:, 1, 0, 1]
    assert torch.allclose(steps_down, steps_right, atol=1e-4)
    shares = (steps_down * 4 / 20) ** 2
    assert shares.min() >= 0.25 - 1e-4 and shares.max() <= 1 + 1e-4
    assert shares.mean() == pytest.approx(0.625, abs=0.03)  # uniform on 0.25..1
    assert len({tuple(one.flatten().tolist()) for one in crops}) == 300
