"""Resizing."""

import pytest
import torch

from artschool.components.injectors.interpolate import interpolate


def test_area_halves_by_means_of_two() -> None:
    x = torch.tensor([[[1.0, 3.0, 5.0, 9.0]]])
    assert interpolate(x, scale_factor=0.5, mode="area").tolist() == [[[2.0, 7.0]]]


def test_nearest_repeats_to_a_size() -> None:
    x = torch.tensor([[[1.0, 2.0]]])
    assert interpolate(x, size=4).tolist() == [[[1.0, 1.0, 2.0, 2.0]]]
    assert interpolate(torch.zeros(1, 1, 2, 2), size=[4, 6]).shape == (1, 1, 4, 6)


def test_scale_and_size_together_are_refused() -> None:
    with pytest.raises(ValueError, match="only one of size or scale_factor"):
        interpolate(torch.zeros(1, 1, 2), size=4, scale_factor=2.0)
