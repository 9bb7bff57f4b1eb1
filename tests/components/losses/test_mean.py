"""The mean of a value: its sign and its ramp."""

from unittest.mock import Mock

import pytest
import torch
from torch import tensor

from artschool.components.losses.mean import mean
from artschool.registry.signature import Context


def at(iteration: int) -> Mock:
    return Mock(spec=Context, iteration=iteration)


def test_mean_and_its_sign() -> None:
    x = tensor([1.0, 2.0, 6.0])
    assert mean(x, context=at(0)).item() == 3.0
    assert mean(x, maximize=True, context=at(0)).item() == -3.0


@pytest.mark.parametrize(("iteration", "value"), [(0, 0.0), (25, 2.0), (99, 7.92), (100, 8.0), (5000, 8.0)])
def test_the_ramp_ends_at_its_full_value(iteration: int, value: float) -> None:
    ramped = mean(torch.full((2, 3), 8.0), ramp_iterations=100, context=at(iteration))
    assert ramped.item() == pytest.approx(value)


def test_the_gradient_follows_the_ramp() -> None:
    x = torch.ones(4, requires_grad=True)
    torch.autograd.backward(mean(x, maximize=True, ramp_iterations=4, context=at(2)))
    assert x.grad is not None
    assert x.grad.tolist() == [-0.125] * 4  # -(1/4) * (2/4)


def test_half_precision_keeps_the_digits_of_the_mean() -> None:
    x = torch.cat([torch.full((4096,), 1.0), torch.full((1,), 2.0)]).bfloat16()
    assert mean(x, context=at(0)).item() == pytest.approx(4098 / 4097, abs=1e-6)
