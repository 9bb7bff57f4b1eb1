"""Removing a dimension."""

import pytest
import torch

from artschool.components.injectors.squeeze import squeeze
from artschool.errors import ConfigError


def test_a_dimension_of_one_goes() -> None:
    assert squeeze(torch.zeros(2, 1, 3), dim=1).shape == (2, 3)
    assert squeeze(torch.zeros(2, 3, 1), dim=-1).shape == (2, 3)


def test_a_larger_one_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"^squeeze: dimension 1 must have size 1, got a tensor of shape \(2, 3\)$"):
        squeeze(torch.zeros(2, 3), dim=1)
