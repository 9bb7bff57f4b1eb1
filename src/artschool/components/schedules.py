"""Learning rate schedules: functions of the base rate and the iteration, which counts from 0 within a phase.

Named after `torch.optim.lr_scheduler`. A rate depends on nothing else, so a resumed run has the same rates.
The engine composes phases: it subtracts `from` from the iteration, multiplies the base rate by `scale`, and applies the
warmup.
"""

import math

from artschool.registry import schedules
from artschool.registry.signature import Count, NotNegative
from artschool.registry.units import Interval, Iterations


@schedules.register
def constant(rate: float, iteration: int) -> float:
    """Keep the base rate."""
    return rate


@schedules.register
def step(rate: float, iteration: int, *, step_size: Interval, gamma: NotNegative = 0.1) -> float:
    """Multiply the rate by `gamma` every `step_size` iterations.

    Args:
        rate: Base learning rate.
        iteration: Iteration within the phase, counted from 0.
        step_size: Number of iterations between two multiplications, 1 or more.
        gamma: Factor that multiplies the rate every `step_size` iterations, 0 or more.
    """
    return rate * math.pow(gamma, iteration // step_size)


@schedules.register
def multi_step(rate: float, iteration: int, *, milestones: list[Iterations], gamma: NotNegative = 0.1) -> float:
    """Multiply the rate by `gamma` at each milestone; iteration m is the first one at the new rate.

    Args:
        rate: Base learning rate.
        iteration: Iteration within the phase, counted from 0.
        milestones: Iterations at which the rate is multiplied by `gamma`, counted from the start of the phase, in any
            order. A duplicate counts twice.
        gamma: Factor that multiplies the rate at each milestone, 0 or more.
    """
    passed = sum(milestone <= iteration for milestone in milestones)
    return rate * math.pow(gamma, passed)


@schedules.register
def exponential(rate: float, iteration: int, *, gamma: NotNegative) -> float:
    """Multiply the rate by `gamma` at every iteration.

    Args:
        rate: Base learning rate.
        iteration: Iteration within the phase, counted from 0.
        gamma: Factor that multiplies the rate at every iteration, 0 or more. 0.999 halves the rate in about 693
            iterations.
    """
    return rate * math.pow(gamma, iteration)


@schedules.register
def linear(
    rate: float, iteration: int, *, iterations: Interval, start: NotNegative = 1.0, end: NotNegative = 0.0
) -> float:
    """Change linearly from `start` to `end` times the base rate within `iterations`, then stay.

    Args:
        rate: Base learning rate.
        iteration: Iteration within the phase, counted from 0.
        iterations: Number of iterations until the rate reaches `end`, 1 or more.
        start: Rate at the first iteration, as a multiple of the base rate, 0 or more.
        end: Rate after `iterations`, as a multiple of the base rate, 0 or more.
    """
    return rate * (start + (end - start) * min(iteration / iterations, 1.0))


@schedules.register
def polynomial(rate: float, iteration: int, *, iterations: Interval, power: NotNegative = 1.0) -> float:
    """Decay to 0 within `iterations` as `(1 - iteration / iterations) ** power`, then stay at 0.

    Args:
        rate: Base learning rate.
        iteration: Iteration within the phase, counted from 0.
        iterations: Number of iterations until the rate reaches 0, 1 or more.
        power: Exponent of the decay, 0 or more. 1: linear; above 1: faster at first.
    """
    return rate * math.pow(1.0 - min(iteration / iterations, 1.0), power)


@schedules.register
def cosine_annealing(rate: float, iteration: int, *, period: Interval, eta_min: NotNegative = 0.0) -> float:
    """Decay to `eta_min` within `period` iterations along half a cosine, then stay.

    Args:
        rate: Base learning rate.
        iteration: Iteration within the phase, counted from 0.
        period: Number of iterations until the rate reaches `eta_min`, 1 or more.
        eta_min: Final rate, 0 or more. An absolute rate, not a multiple of the base rate.

    Source: Loshchilov and Hutter 2017, arXiv:1608.03983, eq. 5.
    """
    return eta_min + (rate - eta_min) * (1.0 + math.cos(math.pi * min(iteration / period, 1.0))) / 2.0


@schedules.register
def cosine_annealing_warm_restarts(
    rate: float, iteration: int, *, period: Interval, growth: Count = 1, eta_min: NotNegative = 0.0
) -> float:
    """Decay towards `eta_min` along half a cosine, restart at the base rate, and repeat.

    Args:
        rate: Base learning rate.
        iteration: Iteration within the phase, counted from 0.
        period: Length of the first cycle in iterations, 1 or more. The iteration `period` is the first restart.
        growth: Factor by which each cycle is longer than the previous one, 1 or more. 1: cycles of equal length.
        eta_min: Rate that each cycle approaches, 0 or more. An absolute rate, not a multiple of the base rate.

    Source: Loshchilov and Hutter 2017, arXiv:1608.03983, section 3.
    """
    if growth == 1:
        iteration %= period
    while iteration >= period:
        iteration, period = iteration - period, period * growth
    return cosine_annealing(rate, iteration, period=period, eta_min=eta_min)
