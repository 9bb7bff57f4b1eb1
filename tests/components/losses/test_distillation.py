"""Divergence of a student from its teacher."""

import math

import pytest
import torch
from torch import tensor

from artschool.components.losses.distillation import distillation
from artschool.errors import ConfigError


def test_a_value_done_by_hand() -> None:
    teacher, student = tensor([[math.log(3.0), 0.0]]), tensor([[0.0, 0.0]])
    expected = 0.75 * math.log(0.75 / 0.5) + 0.25 * math.log(0.25 / 0.5)
    assert distillation(teacher, student).item() == pytest.approx(expected)
    assert distillation(teacher * 2, student, temperature=2.0).item() == pytest.approx(expected)


def test_places_are_summed_and_samples_averaged() -> None:
    torch.manual_seed(0)
    teacher, student = torch.randn(2, 5, 3), torch.randn(2, 5, 3)
    places = [distillation(teacher[..., place], student[..., place]) for place in range(3)]
    torch.testing.assert_close(distillation(teacher, student), torch.stack(places).sum())
    turned = distillation(teacher.transpose(1, 2), student.transpose(1, 2), class_dim=-1)
    torch.testing.assert_close(turned, distillation(teacher, student))


def test_equal_logits_cost_nothing_and_pull_nowhere() -> None:
    student = torch.randn(2, 4, requires_grad=True)
    loss = distillation(student.detach(), student)
    torch.autograd.backward(loss)
    assert loss.item() == pytest.approx(0.0, abs=1e-6)
    assert student.grad is not None
    assert student.grad.abs().max().item() == pytest.approx(0.0, abs=1e-6)


def test_gradients_match_differences() -> None:
    torch.manual_seed(0)
    logits = [torch.randn(2, 3, 2, dtype=torch.float64, requires_grad=True) for _ in range(2)]
    assert torch.autograd.gradcheck(lambda t, s: distillation(t, s, temperature=3.0), logits)


def test_one_teacher_for_all_samples_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"^distillation compares equal shapes"):
        distillation(torch.ones(1, 3), torch.ones(4, 3))
