"""Samplers on Gaussian data, whose perfect network and whose answer are known in closed form."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from artschool.components.diffusion.edm import Churn, edm_denoiser, edm_sample, edm_scalings, edm_sigmas, edm_weight
from artschool.components.diffusion.flow import euler_sample, flow_path, heun_sample
from artschool.components.diffusion.guidance import Model
from artschool.components.diffusion.process import GaussianProcess, Prediction
from artschool.components.diffusion.respacing import respaced_betas, space_timesteps
from artschool.components.diffusion.sampling import ddim_sample, ddpm_sample
from artschool.components.diffusion.schedules import betas_of
from tests.components.diffusion.gaussian_data import DEVIATION, MEAN, STARTS, best_denoised, best_output, best_velocity

TRUE = torch.tensor([[MEAN], [MEAN + DEVIATION]], dtype=torch.float64)
NUM_SAMPLES = 40_000


def perfect(process: GaussianProcess) -> Model:
    return lambda x, t: best_output(process, x, t)


def ddim_error(steps: int) -> float:
    process = GaussianProcess(respaced_betas(betas_of("cosine", 1000), space_timesteps(1000, steps)))
    found = ddim_sample(perfect(process), STARTS, process, clip=False)
    return float((found - TRUE).abs().max())


def test_ddim_approaches_mean_and_deviation() -> None:
    errors = [ddim_error(steps) for steps in (10, 50, 250)]
    assert errors[0] > errors[1] > errors[2]
    assert errors[2] < 0.01


def moments(samples: Tensor) -> tuple[float, float]:
    return float(samples.mean()), float(samples.std())


@pytest.mark.parametrize("prediction", ["epsilon", "x0", "previous", "v"])
def test_ddpm_with_the_true_variance_draws_from_the_data(prediction: Prediction) -> None:
    torch.manual_seed(0)
    betas = respaced_betas(betas_of("cosine", 1000), space_timesteps(1000, 20))
    process = GaussianProcess(betas, prediction=prediction, variance="learned")
    start = torch.randn(NUM_SAMPLES, 1, dtype=torch.float64)
    found = ddpm_sample(perfect(process), start, process, clip=False)
    # Exact even in 20 steps but for the last one, which adds no noise.
    assert moments(found) == pytest.approx((MEAN, DEVIATION), abs=0.01)


def test_ddim_with_eta_one_is_ddpm_with_the_posterior_variance() -> None:
    process = GaussianProcess(respaced_betas(betas_of("cosine", 1000), space_timesteps(1000, 20)))
    start = torch.randn(50, 1, dtype=torch.float64)
    torch.manual_seed(0)
    found = ddim_sample(perfect(process), start, process, clip=False, eta=1.0)
    torch.manual_seed(0)
    torch.testing.assert_close(found, ddpm_sample(perfect(process), start, process, clip=False), rtol=0, atol=1e-5)


def edm_error(steps: int, *, second_order: bool) -> float:
    # Without the last step to sigma 0, which is Euler's in any case.
    sigmas = edm_sigmas(steps, sigma_min=0.1, sigma_max=10.0)[:-1]
    found = edm_sample(best_denoised, STARTS, sigmas, second_order=second_order)
    growth = ((DEVIATION**2 + 0.1**2) / (DEVIATION**2 + 10.0**2)) ** 0.5
    return float((found - (MEAN + (10.0 * STARTS - MEAN) * growth)).abs().max())


def flow_error(steps: int, sample: Callable[[Model, Tensor, int], Tensor]) -> float:
    return float((sample(best_velocity, STARTS, steps) - TRUE).abs().max())


def test_heun_is_of_second_order_and_euler_of_first() -> None:
    # Twice the steps: a quarter, or half of the error.
    assert edm_error(65, second_order=True) / edm_error(129, second_order=True) == pytest.approx(4, rel=0.1)
    assert edm_error(65, second_order=False) / edm_error(129, second_order=False) == pytest.approx(2, rel=0.1)
    assert flow_error(64, heun_sample) / flow_error(128, heun_sample) == pytest.approx(4, rel=0.1)
    assert flow_error(64, euler_sample) / flow_error(128, euler_sample) == pytest.approx(2, rel=0.1)


def test_edm_and_flow_arrive_at_mean_and_deviation() -> None:
    start = STARTS.clone()
    found = edm_sample(best_denoised, start, edm_sigmas(64))
    torch.testing.assert_close(found, TRUE, rtol=0, atol=0.01)
    torch.testing.assert_close(heun_sample(best_velocity, start, 64), TRUE, rtol=0, atol=1e-3)
    assert torch.equal(start, STARTS)


def test_churn_keeps_the_distribution_and_is_random() -> None:
    torch.manual_seed(0)
    start = torch.randn(NUM_SAMPLES, 1, dtype=torch.float64)
    found = edm_sample(best_denoised, start, edm_sigmas(160), churn=Churn(amount=20.0))
    assert moments(found) == pytest.approx((MEAN, DEVIATION), abs=0.01)
    assert not torch.allclose(found, edm_sample(best_denoised, start, edm_sigmas(160)), atol=0.1)
    out_of_range = Churn(amount=20.0, sigma_min=100.0)
    few = start[:3]
    assert torch.equal(
        edm_sample(best_denoised, few, edm_sigmas(5), churn=out_of_range),
        edm_sample(best_denoised, few, edm_sigmas(5)),
    )


def test_sigmas_fall_from_the_largest_to_the_least_and_to_nothing() -> None:
    sigmas = edm_sigmas(3, sigma_min=1.0, sigma_max=81.0, rho=4.0)
    assert sigmas.tolist() == pytest.approx([81.0, 16.0, 1.0, 0.0])  # fourth powers of 3, 2, 1


def test_preconditioning_has_unit_variance_at_any_noise() -> None:
    sigma, data = torch.tensor([0.01, 0.5, 30.0], dtype=torch.float64), 0.7
    by = edm_scalings(sigma, data)
    total = data**2 + sigma**2
    torch.testing.assert_close(by.inner**2 * total, torch.ones_like(sigma))
    target_variance = ((1 - by.skip) ** 2 * data**2 + by.skip**2 * sigma**2) / by.out**2
    torch.testing.assert_close(target_variance, torch.ones_like(sigma))
    torch.testing.assert_close(edm_weight(sigma, data) * by.out**2, torch.ones_like(sigma))
    torch.testing.assert_close(by.noise, sigma.log() / 4)


def test_a_network_of_zero_denoises_by_the_skip_alone() -> None:
    seen = {}

    def zero(x: Tensor, t: Tensor) -> Tensor:
        seen["x"], seen["t"] = x, t
        return torch.zeros_like(x)

    x = edm_denoiser(zero, 0.5)(torch.tensor([[2.0], [4.0]]), torch.tensor([0.5, 1.5]))
    assert x[:, 0].tolist() == pytest.approx([2 * 0.5, 4 * 0.25 / 2.5])
    assert seen["x"][:, 0].tolist() == pytest.approx([2 / 0.5**0.5, 4 / 2.5**0.5])
    assert seen["t"].shape == (2,)


def test_a_flow_to_two_points_sends_each_half_of_the_noise_to_one() -> None:
    # E[x_1 | x_t] = tanh(x t / (1 - t)^2) for data of +1 and -1.
    def velocity(x: Tensor, t: Tensor) -> Tensor:
        left = (1 - t)[:, None].clamp(min=1e-3)
        return ((x * t[:, None] / left**2).tanh() - x) / left

    start = torch.tensor([[-2.0], [-0.1], [0.1], [2.0]], dtype=torch.float64)
    torch.testing.assert_close(euler_sample(velocity, start, 100), start.sign(), rtol=0, atol=1e-3)


def test_the_path_is_a_line_that_ends_in_a_little_of_its_source() -> None:
    source, target = torch.tensor([[4.0], [4.0]]), torch.tensor([[10.0], [10.0]])
    x_t, velocity = flow_path(source, target, torch.tensor([0.5, 1.0]))
    assert x_t[:, 0].tolist() == [7.0, 10.0] and velocity[:, 0].tolist() == [6.0, 6.0]
    x_t, velocity = flow_path(source, target, torch.tensor([0.5, 1.0]), sigma_min=0.1)
    assert x_t[1].item() == pytest.approx(10.4) and velocity[0].item() == pytest.approx(6.4)
