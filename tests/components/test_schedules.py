"""Schedules: equal to PyTorch's of the same name, and exact where they end."""

import math
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch.optim import lr_scheduler

from artschool.components import schedules

RATE = 0.3


def rates_of_torch(make: Callable[[torch.optim.Optimizer], lr_scheduler.LRScheduler]) -> list[float]:
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=RATE)
    scheduler, rates = make(optimizer), []
    for _ in range(100):
        rates.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        scheduler.step()
    return rates


@pytest.mark.parametrize(
    ("schedule", "options", "make"),
    [
        ("constant", {}, lambda o: lr_scheduler.ConstantLR(o, factor=1.0)),
        ("step", {"step_size": 30, "gamma": 0.5}, lambda o: lr_scheduler.StepLR(o, 30, gamma=0.5)),
        (
            "multi_step",
            {"milestones": [60, 20, 20], "gamma": 0.5},
            lambda o: lr_scheduler.MultiStepLR(o, [60, 20, 20], gamma=0.5),
        ),
        ("exponential", {"gamma": 0.97}, lambda o: lr_scheduler.ExponentialLR(o, 0.97)),
        (
            "linear",
            {"iterations": 70, "start": 0.9, "end": 0.2},
            lambda o: lr_scheduler.LinearLR(o, start_factor=0.9, end_factor=0.2, total_iters=70),
        ),
        (
            "polynomial",
            {"iterations": 70, "power": 2.5},
            lambda o: lr_scheduler.PolynomialLR(o, total_iters=70, power=2.5),
        ),
        (
            "cosine_annealing",
            {"period": 99, "eta_min": 0.02},
            lambda o: lr_scheduler.CosineAnnealingLR(o, T_max=99, eta_min=0.02),
        ),
        (
            "cosine_annealing_warm_restarts",
            {"period": 30, "eta_min": 0.02},
            lambda o: lr_scheduler.CosineAnnealingWarmRestarts(o, T_0=30, eta_min=0.02),
        ),
        (
            "cosine_annealing_warm_restarts",
            {"period": 10, "growth": 2},
            lambda o: lr_scheduler.CosineAnnealingWarmRestarts(o, T_0=10, T_mult=2),
        ),
    ],
)
def test_a_schedule_equals_pytorchs_of_the_same_name(
    schedule: str,
    options: dict[str, Any],
    make: Callable[[torch.optim.Optimizer], lr_scheduler.LRScheduler],
) -> None:
    function = getattr(schedules, schedule)
    ours = [function(RATE, iteration, **options) for iteration in range(100)]
    assert ours == pytest.approx(rates_of_torch(make), rel=1e-9, abs=1e-12)


def test_a_milestone_is_the_first_iteration_at_the_new_rate() -> None:
    rates = [schedules.multi_step(1.0, iteration, milestones=[2, 3], gamma=0.5) for iteration in range(5)]
    assert rates == [1.0, 1.0, 0.5, 0.25, 0.25]


def test_a_cosine_stays_at_its_end() -> None:
    values = [schedules.cosine_annealing(1.0, iteration, period=4, eta_min=0.1) for iteration in (0, 2, 4, 5, 999)]
    assert values == [1.0, pytest.approx(0.55), 0.1, 0.1, 0.1]


def test_lines_and_polynomials_stay_at_their_end() -> None:
    assert [schedules.linear(2.0, i, iterations=4) for i in (0, 1, 4, 9)] == [2.0, 1.5, 0.0, 0.0]
    assert [schedules.polynomial(2.0, i, iterations=4, power=2.0) for i in (0, 2, 4, 9)] == [
        2.0,
        0.5,
        0.0,
        0.0,
    ]


def test_restarts_far_away_cost_no_loop() -> None:
    rate = schedules.cosine_annealing_warm_restarts(1.0, 3 * 10**15 + 1, period=3)
    assert rate == pytest.approx((1 + math.cos(math.pi / 3)) / 2)


def test_a_cosine_goes_from_one_value_to_another_and_stays() -> None:
    found = [schedules.half_cosine(1.0, iteration, iterations=4, start=0.04, end=0.4) for iteration in (0, 2, 4, 9)]
    assert found == pytest.approx([0.04, 0.22, 0.4, 0.4])


def test_a_part_of_a_cosine_falls_and_stays() -> None:
    found = [schedules.partial_cosine(2.0, iteration, iterations=4) for iteration in (0, 2, 4, 9)]
    end = 2 * math.cos(7 * math.pi / 16)
    assert found == pytest.approx([2.0, 2 * math.cos(7 * math.pi / 32), end, end])


def test_a_ramp_rises_to_its_rate() -> None:
    assert [schedules.ramp(0.9, n) for n in (0, 8, 80, 1000)] == pytest.approx([0.1, 0.5, 0.9, 0.9])
    assert [schedules.ramp(0.9, n, numerator=0, denominator=1) for n in (0, 1, 3)] == pytest.approx([0.0, 0.5, 0.75])
    every_third = [schedules.ramp(0.9, 3 * n, numerator=3, denominator=30) for n in (0, 8, 80)]
    assert every_third == pytest.approx([0.1, 0.5, 0.9])


def test_a_sigmoid_is_the_factor_of_domain_adversarial_training() -> None:
    found = [schedules.sigmoid(1.0, iteration, iterations=10) for iteration in (0, 3, 10, 99)]
    assert found == pytest.approx([2 / (1 + math.exp(-10 * passed)) - 1 for passed in (0, 0.3, 1, 1)])
    assert schedules.sigmoid(2.0, 10**6, iterations=9, start=3.0, end=5.0, steepness=100.0) == 10.0


def test_a_gaussian_is_the_weight_of_unlabeled_samples() -> None:
    found = [schedules.gaussian(2.0, iteration, iterations=4) for iteration in (0, 1, 4, 9)]
    assert found == pytest.approx([2 * math.exp(-5), 2 * math.exp(-5 * 0.75**2), 2.0, 2.0])


def test_a_half_life_in_iterations_is_that_of_stylegan2_in_samples() -> None:
    batch, samples = 32, 320
    for iteration in (1, 5, 100, 10_000):
        life = min(samples, iteration * batch * 0.05)
        found = schedules.half_life(1.0, iteration, iterations=samples // batch, ramp=0.05)
        assert found == pytest.approx(0.5 ** (batch / life))
    assert schedules.half_life(1.0, 0, iterations=10, ramp=0.05) == 0.0
    assert schedules.half_life(1.0, 0, iterations=10) ** 10 == pytest.approx(0.5)
