"""The Gaussian process: what noise does, and what predictions mean."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from artschool.components.diffusion.process import GaussianProcess, Prediction
from artschool.components.diffusion.schedules import betas_of
from artschool.errors import ConfigError

BETAS = betas_of("cosine", 50)
T = torch.tensor([0, 1, 20, 49])
PREDICTIONS: list[Prediction] = ["epsilon", "x0", "previous", "v"]


def data() -> tuple[Tensor, Tensor]:
    torch.manual_seed(0)
    return torch.randn(4, 2, 3, dtype=torch.float64), torch.randn(4, 2, 3, dtype=torch.float64)


def test_noise_mixes_with_variance_one() -> None:
    process = GaussianProcess(BETAS)
    one, zero = torch.ones(4, 1, dtype=torch.float64), torch.zeros(4, 1, dtype=torch.float64)
    signal, noise = process.noised(one, zero, T), process.noised(zero, one, T)
    torch.testing.assert_close(signal**2 + noise**2, one)
    torch.testing.assert_close(signal[:, 0] ** 2, (1 - BETAS).cumprod(0)[T])


def test_the_posterior_is_that_of_bayes() -> None:
    # x_{t-1} has prior N(sqrt(before) x0, 1 - before); x_t = sqrt(1 - beta) x_{t-1} + sqrt(beta) n is seen.
    process, t = GaussianProcess(BETAS), torch.tensor([20])
    before, beta = process.alpha_bar[19], BETAS[20]  # type: ignore[index]  # a buffer
    precision = 1 / (1 - before) + (1 - beta) / beta
    x0, x_t = torch.tensor([[0.7]], dtype=torch.float64), torch.tensor([[-1.1]], dtype=torch.float64)
    mean = (before.sqrt() * x0 / (1 - before) + (1 - beta).sqrt() * x_t / beta) / precision
    torch.testing.assert_close(process.posterior_mean(x0, x_t, t), mean)
    torch.testing.assert_close(process.at("posterior_variance", t, x0), (1 / precision).view(1, 1))


@pytest.mark.parametrize("prediction", PREDICTIONS)
def test_the_target_stands_for_the_clean_data(prediction: Prediction) -> None:
    process = GaussianProcess(BETAS, prediction=prediction)
    x0, noise = data()
    x_t = process.noised(x0, noise, T)
    target = process.target(x0, noise, x_t, T)
    # cosine ends at alpha_bar 2e-7, where epsilon says little of x0.
    torch.testing.assert_close(process.predicted_x0(target, x_t, T), x0, rtol=1e-9, atol=1e-9)
    torch.testing.assert_close(process.epsilon(x0, x_t, T), noise, rtol=1e-9, atol=1e-9)
    reverse = process.reverse(target, x_t, T)
    torch.testing.assert_close(reverse.mean, process.posterior_mean(x0, x_t, T), rtol=1e-9, atol=1e-9)


def test_clipping_limits_the_clean_data_and_what_follows() -> None:
    process = GaussianProcess(BETAS, prediction="x0")
    x0 = torch.full((4, 1), 3.0)
    reverse = process.reverse(x0, x0, T, clip=True)
    assert torch.equal(reverse.x0, torch.ones(4, 1))
    torch.testing.assert_close(reverse.mean, process.posterior_mean(torch.ones(4, 1), x0, T))


def test_fixed_variances_are_the_posterior_and_beta() -> None:
    x = torch.zeros(4, 1, dtype=torch.float64)
    small = GaussianProcess(BETAS).reverse(x, x, T)
    large = GaussianProcess(BETAS, variance="fixed_large").reverse(x, x, T)
    assert small.variance[0] == 0  # the first step back is certain
    assert small.log_variance[0] == small.log_variance[1] == small.variance[1].log()
    torch.testing.assert_close(large.variance[1:, 0], BETAS[T[1:]])
    assert large.variance[0] == small.variance[1]
    assert bool((large.variance >= small.variance).all())


def test_a_learned_range_reaches_from_one_to_the_other() -> None:
    process = GaussianProcess(BETAS, variance="learned_range")
    x = torch.zeros(4, 1, dtype=torch.float64)
    low, middle, high = (
        process.reverse(torch.cat([x, x + said], 1), x, T).log_variance[:, 0] for said in (-1.0, 0.0, 1.0)
    )
    torch.testing.assert_close(high, BETAS[T].log())
    torch.testing.assert_close(low, process.at("posterior_log_variance", T, x)[:, 0])
    torch.testing.assert_close(middle, (low + high) / 2)


def test_a_learned_variance_is_what_the_network_says() -> None:
    process = GaussianProcess(BETAS, variance="learned")
    x = torch.zeros(4, 1)
    reverse = process.reverse(torch.cat([x, x - 2], 1), x, T)
    assert torch.equal(reverse.log_variance, x - 2)
    torch.testing.assert_close(reverse.variance, (x - 2).exp())


def test_wrong_channels_are_told() -> None:
    x = torch.zeros(4, 2)
    said = r"^network: expected 2 output channels with variance fixed_small \(as many as in its input\), got 4$"
    with pytest.raises(ConfigError, match=said):
        GaussianProcess(BETAS).reverse(torch.zeros(4, 4), x, T)
    said = r"^network: expected 4 output channels with variance learned \(prediction and variance\), got 2$"
    with pytest.raises(ConfigError, match=said):
        GaussianProcess(BETAS, variance="learned").reverse(x, x, T)


def test_the_network_is_told_its_own_timesteps() -> None:
    chosen = torch.tensor([0, 10, 40])
    process = GaussianProcess(BETAS[:3], timesteps=chosen)
    assert process.network_time(torch.tensor([2, 1])).tolist() == [40, 10]
    scaled = GaussianProcess(BETAS[:3], timesteps=chosen, time_scale=20.0)
    assert scaled.network_time(torch.tensor([2, 1])).tolist() == [800.0, 200.0]
