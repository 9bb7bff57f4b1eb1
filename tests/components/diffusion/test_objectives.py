"""What diffusion is trained on; the reference's numbers are in goldens/."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor, tensor

from artschool.components.diffusion.objectives import (
    Objective,
    Terms,
    gaussian_kl,
    log_likelihood_of_levels,
    min_snr_weight,
    training_terms,
)
from artschool.components.diffusion.process import GaussianProcess, Variance
from artschool.components.diffusion.schedules import betas_of
from artschool.errors import ConfigError

BETAS = betas_of("linear", 200)
T = tensor([0, 1, 100, 199])


def terms(
    output: Tensor, objective: Objective, variance: Variance = "learned_range", gamma: float | None = None
) -> Terms:
    torch.manual_seed(0)
    x0, noise = torch.randn(4, 1, 5).clamp(-1, 1), torch.randn(4, 1, 5)
    process = GaussianProcess(BETAS, variance=variance)
    return training_terms(process, output, x0, noise, T, objective=objective, min_snr_gamma=gamma)


def output() -> Tensor:
    torch.manual_seed(1)
    return torch.randn(4, 2, 5).requires_grad_()


def test_kl_of_gaussians_by_hand() -> None:
    kl = gaussian_kl(tensor(1.0), tensor(0.0), tensor(3.0), tensor(math.log(4.0)))
    assert kl.item() == pytest.approx(0.5 * (math.log(4) - 1 + 0.25 + 4 / 4))
    assert gaussian_kl(tensor(1.0), tensor(2.0), tensor(1.0), tensor(2.0)) == 0


def test_the_masses_of_all_levels_add_up_to_one() -> None:
    levels = torch.arange(256, dtype=torch.float64) / 127.5 - 1
    for scale in (0.01, 0.3):
        mass = log_likelihood_of_levels(levels, tensor(0.2, dtype=torch.float64), tensor(scale).log()).exp()
        assert mass.sum().item() == pytest.approx(1.0, abs=1e-6)
    assert levels[mass.argmax()].item() == pytest.approx(0.2, abs=1 / 255)


def test_the_bound_beside_a_squared_error_reaches_the_variance_alone() -> None:
    given = output()
    torch.autograd.backward(terms(given, "mse").vb.sum())
    assert given.grad is not None
    assert given.grad[:, :1].abs().sum() == 0
    assert given.grad[:, 1:].abs().min() > 0


def test_the_bound_as_the_objective_reaches_both_and_is_returned_without_gradient() -> None:
    given = output()
    found = terms(given, "kl")
    assert not found.vb.requires_grad and torch.equal(found.vb, found.loss.detach())
    torch.autograd.backward(found.loss.sum())
    assert given.grad is not None and given.grad.abs().min() > 0


def test_rescaling_multiplies() -> None:
    plain, scaled = terms(output(), "mse"), terms(output(), "rescaled_mse")
    torch.testing.assert_close(scaled.vb, plain.vb * 0.2)
    assert torch.equal(scaled.loss, plain.loss)
    torch.testing.assert_close(terms(output(), "rescaled_kl").loss, terms(output(), "kl").loss * 200)


def test_a_fixed_variance_has_a_bound_without_gradient() -> None:
    found = terms(output()[:, :1], "mse", "fixed_large")
    assert found.loss.requires_grad and not found.vb.requires_grad
    assert bool((found.vb > 0).all())


def test_a_perfect_prediction_has_no_error_and_no_divergence() -> None:
    torch.manual_seed(0)
    x0, noise = torch.randn(4, 1, 5).clamp(-1, 1), torch.randn(4, 1, 5)
    found = training_terms(GaussianProcess(BETAS), noise, x0, noise, T)
    assert found.loss.tolist() == [0.0] * 4
    torch.testing.assert_close(found.vb[1:], torch.zeros(3), rtol=0, atol=1e-4)
    torch.testing.assert_close(found.x0, x0, rtol=0, atol=1e-4)


def test_min_snr_weighs_the_same_error_of_x0_alike_whatever_is_predicted() -> None:
    alpha_bar = tensor([0.99, 0.5, 0.01], dtype=torch.float64)
    snr = alpha_bar / (1 - alpha_bar)  # 99, 1, 1 / 99
    assert min_snr_weight(alpha_bar, 5.0, "x0").tolist() == pytest.approx([5.0, 1.0, 1 / 99])
    assert min_snr_weight(alpha_bar, 5.0, "epsilon").tolist() == pytest.approx([5 / 99, 1.0, 1.0])
    torch.testing.assert_close(min_snr_weight(alpha_bar, 5.0, "v") * (snr + 1), snr.clamp(max=5))
    found = terms(output(), "mse", gamma=5.0).loss / terms(output(), "mse").loss
    expected = min_snr_weight((1 - BETAS).cumprod(0)[T], 5.0, "epsilon")
    torch.testing.assert_close(found, expected.float())


def test_min_snr_is_not_defined_for_previous() -> None:
    with pytest.raises(ConfigError, match=r"^min_snr_gamma: expected prediction epsilon, x0 or v, got previous$"):
        min_snr_weight(torch.ones(1), 5.0, "previous")
