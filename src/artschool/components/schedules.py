"""Learning rates over time: functions of the base rate and the iteration, counted from 0 within a phase.

Named after `torch.optim.lr_scheduler`. A rate depends on nothing else, so a resumed run has the same rates.
The engine composes phases: it subtracts their `from`, multiplies the base rate by their `scale`, and warms
up.
"""

import math

from artschool.registry import schedules
from artschool.registry.signature import Count, Natural, NotNegative


@schedules.register
def constant(rate: float, iteration: int) -> float:
    """Stay at the base rate."""
    return rate


@schedules.register
def step(rate: float, iteration: int, *, step_size: Count, gamma: NotNegative = 0.1) -> float:
    """Multiply the rate by `gamma` every `step_size` iterations.

    Args:
        rate: The base rate.
        iteration: Counted from 0.
        step_size: Iterations at one rate.
        gamma: What the rate is multiplied by each time.
    """
    return rate * math.pow(gamma, iteration // step_size)


@schedules.register
def multi_step(rate: float, iteration: int, *, milestones: list[Natural], gamma: NotNegative = 0.1) -> float:
    """Multiply the rate by `gamma` at each milestone: iteration m is the first one at the new rate.

    Args:
        rate: The base rate.
        iteration: Counted from 0.
        milestones: Iterations, counted within the phase, in any order; one that is listed twice counts twice.
        gamma: What the rate is multiplied by each time.
    """
    passed = sum(milestone <= iteration for milestone in milestones)
    return rate * math.pow(gamma, passed)


@schedules.register
def exponential(rate: float, iteration: int, *, gamma: NotNegative) -> float:
    """Multiply the rate by `gamma` at every iteration.

    Args:
        rate: The base rate.
        iteration: Counted from 0.
        gamma: What the rate is multiplied by; 0.999 halves it within some 693 iterations.
    """
    return rate * math.pow(gamma, iteration)


@schedules.register
def linear(
    rate: float, iteration: int, *, iterations: Count, start: NotNegative = 1.0, end: NotNegative = 0.0
) -> float:
    """Go in a straight line from `start` to `end` times the rate within `iterations`, then stay.

    Args:
        rate: The base rate.
        iteration: Counted from 0.
        iterations: The iteration that reaches `end`.
        start: The first rate, as a share of the base rate.
        end: The last rate, as a share of the base rate.
    """
    return rate * (start + (end - start) * min(iteration / iterations, 1.0))


@schedules.register
def polynomial(rate: float, iteration: int, *, iterations: Count, power: NotNegative = 1.0) -> float:
    """Fall to 0 within `iterations` as `(1 - iteration / iterations) ** power`, then stay.

    Args:
        rate: The base rate.
        iteration: Counted from 0.
        iterations: The iteration that reaches 0.
        power: 1 for a straight line, more to fall faster at first.
    """
    return rate * math.pow(1.0 - min(iteration / iterations, 1.0), power)


@schedules.register
def cosine_annealing(rate: float, iteration: int, *, period: Count, eta_min: NotNegative = 0.0) -> float:
    """Fall to `eta_min` within `period` iterations along half a cosine, then stay.

    Args:
        rate: The base rate.
        iteration: Counted from 0.
        period: The iteration that reaches eta_min.
        eta_min: A rate, not a share of the base rate.

    Source: Loshchilov and Hutter 2017, arXiv:1608.03983, eq. 5.
    """
    return eta_min + (rate - eta_min) * (1.0 + math.cos(math.pi * min(iteration / period, 1.0))) / 2.0


@schedules.register
def cosine_annealing_warm_restarts(
    rate: float, iteration: int, *, period: Count, growth: Count = 1, eta_min: NotNegative = 0.0
) -> float:
    """Fall towards `eta_min` along half a cosine, jump back to the full rate, and again.

    Args:
        rate: The base rate.
        iteration: Counted from 0.
        period: The first iteration that is back at the full rate.
        growth: How many times longer each cycle is than the one before.
        eta_min: A rate, not a share of the base rate.

    Source: Loshchilov and Hutter 2017, arXiv:1608.03983, section 3.
    """
    if growth == 1:
        iteration %= period
    while iteration >= period:
        iteration, period = iteration - period, period * growth
    return cosine_annealing(rate, iteration, period=period, eta_min=eta_min)
