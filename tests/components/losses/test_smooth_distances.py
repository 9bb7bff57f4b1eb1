"""Huber's distance, smooth L1 and Charbonnier's."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, tensor

from artschool.components.losses.charbonnier import charbonnier
from artschool.components.losses.huber import huber, smooth_l1
from artschool.errors import ConfigError

ZERO = torch.zeros(2)


def test_huber_is_squared_within_delta_and_straight_beyond() -> None:
    # 1^2 / 2 and 2 (5 - 1)
    assert huber(tensor([1.0, -5.0]), ZERO, delta=2.0).item() == (0.5 + 8.0) / 2
    assert smooth_l1(tensor([1.0, -5.0]), ZERO, beta=2.0).item() == (0.25 + 4.0) / 2


def test_charbonnier_is_epsilon_at_zero_and_the_distance_far_away() -> None:
    assert charbonnier(ZERO, ZERO, epsilon=0.25).item() == 0.25
    assert charbonnier(tensor([3.0, -3.0]), ZERO, epsilon=4.0).item() == 5.0


@pytest.mark.parametrize("loss", [huber, smooth_l1, charbonnier])
def test_shapes_that_would_broadcast_are_refused(loss: Callable[[Tensor, Tensor], Tensor]) -> None:
    with pytest.raises(ConfigError, match=r"compares equal shapes, but fake is \(4, 1\) and real is \(4,\)$"):
        loss(torch.zeros(4, 1), torch.zeros(4))
