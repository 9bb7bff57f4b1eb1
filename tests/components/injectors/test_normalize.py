"""Shifting and scaling, there and back."""

import torch

from artschool.components.injectors.normalize import denormalize, normalize


def test_normalize_subtracts_then_divides() -> None:
    x = torch.tensor([1.0, 5.0])
    assert normalize(x, shift=1.0, scale=2.0).tolist() == [0.0, 2.0]
    assert x.tolist() == [1.0, 5.0]


def test_denormalize_undoes_it() -> None:
    assert denormalize(torch.tensor([0.0, 2.0]), shift=1.0, scale=2.0).tolist() == [1.0, 5.0]


def test_a_negative_scale_reverses_the_order() -> None:
    x = torch.tensor([0.0, 0.25, 1.0])
    assert normalize(x, shift=1.0, scale=-1.0).tolist() == [1.0, 0.75, 0.0]
    assert denormalize(normalize(x, shift=1.0, scale=-0.5), shift=1.0, scale=-0.5).tolist() == x.tolist()


def test_the_defaults_change_nothing() -> None:
    assert normalize(torch.tensor([3.0])).item() == denormalize(torch.tensor([3.0])).item() == 3.0
