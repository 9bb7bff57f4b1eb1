"""Joining tensors."""

import torch

from artschool.components.injectors.concatenate import concatenate


def test_channels_are_joined_in_order() -> None:
    joined = concatenate([torch.zeros(2, 1, 3), torch.ones(2, 2, 3)])
    assert joined[:, :, 0].tolist() == [[0.0, 1.0, 1.0]] * 2


def test_another_dimension_can_be_joined() -> None:
    assert concatenate([torch.zeros(2, 3), torch.zeros(4, 3)], dim=0).shape == (6, 3)
