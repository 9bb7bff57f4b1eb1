"""Padding to a multiple."""

import torch

from artschool.components.injectors.pad import pad


def test_the_end_is_padded_to_the_next_multiple() -> None:
    assert pad(torch.ones(1, 3), multiple=4).tolist() == [[1.0, 1.0, 1.0, 0.0]]
    assert pad(torch.ones(1, 5), multiple=4, value=-1.0).tolist() == [[1.0] * 5 + [-1.0] * 3]


def test_an_aligned_length_is_left_alone() -> None:
    x = torch.ones(2, 8)
    assert pad(x, multiple=4) is x
