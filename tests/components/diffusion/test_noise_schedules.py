"""Schedules of betas; the reference's numbers are in goldens/."""

import math

import pytest
import torch

from artschool.components.diffusion.schedules import betas_of
from artschool.errors import ConfigError


def test_scaled_linear_betas_are_those_of_latent_diffusion() -> None:
    betas = betas_of("scaled_linear", 3)
    # The mean of sqrt(0.00085) = 0.0291548 and sqrt(0.012) = 0.1095445 is 0.0693496.
    torch.testing.assert_close(
        betas, torch.tensor([0.00085, 0.0693496**2, 0.012], dtype=torch.float64), rtol=1e-5, atol=0
    )


def test_linear_betas_add_the_same_noise_in_any_number_of_steps() -> None:
    few, many = betas_of("linear", 100), betas_of("linear", 1000)
    assert (few[0].item(), few[-1].item()) == pytest.approx((1e-3, 0.2))
    assert (many[0].item(), many[-1].item()) == pytest.approx((1e-4, 0.02))
    assert few.dtype == torch.float64


def test_cosine_alpha_bar_is_a_squared_cosine() -> None:
    alpha_bar = (1 - betas_of("cosine", 50)).cumprod(0)
    start = math.cos(0.008 / 1.008 * math.pi / 2) ** 2
    assert alpha_bar[24].item() == pytest.approx(math.cos(0.508 / 1.008 * math.pi / 2) ** 2 / start)
    assert betas_of("cosine", 50)[-1] == 0.999


def test_sigmoid_alpha_bar_is_half_in_the_middle() -> None:
    alpha_bar = (1 - betas_of("sigmoid", 10)).cumprod(0)
    assert alpha_bar[4].item() == pytest.approx(0.5)
    sigmoid = [1 / (1 + math.exp(-x)) for x in (3.0, -3.0, -1.8)]
    assert alpha_bar[1].item() == pytest.approx((sigmoid[0] - sigmoid[2]) / (sigmoid[0] - sigmoid[1]))


def test_betas_may_be_listed() -> None:
    assert betas_of([0.1, 0.2], 2).tolist() == [0.1, 0.2]


@pytest.mark.parametrize(
    ("schedule", "number", "said"),
    [
        ([0.1, 0.2], 3, r"schedule: expected num_timesteps \(3\) betas, got 2"),
        ([0.1, 1.0], 2, r"schedule\.1: expected a beta between 0 and 1, both excluded, got 1\.0"),
        (
            "linear",
            20,
            r"num_timesteps: expected more than 20 with the linear schedule, got 20\. Fix: raise it, or use the cosine "
            "schedule",
        ),
    ],
)
def test_a_schedule_that_cannot_be_is_refused(schedule: list[float], number: int, said: str) -> None:
    with pytest.raises(ConfigError, match=f"^{said}$"):
        betas_of(schedule, number)
