"""Two views that predict each other."""

import pytest
import torch
from torch import tensor

from artschool.components.losses.byol import byol
from artschool.errors import ConfigError

X, Y = tensor([[1.0, 0.0]]), tensor([[0.0, 2.0]])


def test_views_that_agree_cost_nothing_at_any_length() -> None:
    assert byol(X, 3 * Y, 5 * Y, X).item() == pytest.approx(0, abs=1e-6)


def test_each_direction_costs_up_to_four() -> None:
    assert byol(X, Y, Y, Y).item() == pytest.approx(2 + 0)  # p1 and t2 are at right angles, p2 equals t1
    assert byol(X, Y, -Y, -X).item() == pytest.approx(8)


def test_it_is_the_squared_distance_of_unit_vectors() -> None:
    p1, p2, t1, t2 = (torch.nn.functional.normalize(torch.randn(6, 4)) for _ in range(4))
    expected = ((p1 - t2).square().sum(1) + (p2 - t1).square().sum(1)).mean()
    torch.testing.assert_close(byol(2 * p1, p2, 3 * t1, t2), expected)


def test_targets_learn_nothing() -> None:
    values = [torch.randn(3, 4, requires_grad=True) for _ in range(4)]
    torch.autograd.backward(byol(*values))
    assert [value.grad is not None for value in values] == [True, True, False, False]


def test_targets_of_another_batch_size_are_refused() -> None:
    with pytest.raises(ConfigError, match=r"^byol compares equal shapes, but fake is \(4, 2\) and real is \(1, 2\)$"):
        byol(torch.ones(4, 2), torch.ones(4, 2), X, X)
