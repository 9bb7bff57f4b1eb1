"""Schedules of learning rates and other numbers: functions of the base rate and the iteration within a phase.

Named after `torch.optim.lr_scheduler`. A rate depends on nothing else, so a resumed run has the same rates.
The engine composes phases: it subtracts `from` from the iteration, multiplies the base rate by `scale`, and applies the
warmup.
"""

import math

from artschool.registry import schedules
from artschool.registry.signature import Count, Fraction, NotNegative, Positive
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
def linear(rate: float, iteration: int, *, iterations: Interval, start: float = 1.0, end: float = 0.0) -> float:
    """Change linearly from `start` to `end` times the base rate within `iterations`, then stay.

    Args:
        rate: Base learning rate.
        iteration: Iteration within the phase, counted from 0.
        iterations: Number of iterations until the rate reaches `end`, 1 or more.
        start: Rate at the first iteration, as a multiple of the base rate.
        end: Rate after `iterations`, as a multiple of the base rate.
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


@schedules.register
def half_cosine(rate: float, iteration: int, *, iterations: Interval, start: float = 1.0, end: float = 0.0) -> float:
    """Change from `start` to `end` times the base rate within `iterations` along half a cosine, then stay.

    Args:
        rate: Base learning rate.
        iteration: Iteration within the phase, counted from 0.
        iterations: Number of iterations until the rate reaches `end`, 1 or more.
        start: Rate at the first iteration, as a multiple of the base rate.
        end: Rate after `iterations`, as a multiple of the base rate.

    Source: Caron et al. 2021, arXiv:2104.14294, section 3.2, for weight decay and the momentum of the teacher.
    """
    passed = min(iteration / iterations, 1.0)
    return rate * (end + (start - end) * (1.0 + math.cos(math.pi * passed)) / 2.0)


@schedules.register
def partial_cosine(rate: float, iteration: int, *, iterations: Interval, fraction: Fraction = 7 / 16) -> float:
    """Fall as `cos(pi * fraction * n / iterations)` in iteration n, then stay.

    Args:
        rate: Base learning rate.
        iteration: Iteration within the phase, counted from 0.
        iterations: Number of iterations until the rate stays, 1 or more.
        fraction: Part of half a period that is passed, 0 to 1. With 0.5, the rate falls to 0; above, it is negative.

    Source: Sohn et al. 2020, arXiv:2001.07685, section 2.4.
    """
    return rate * math.cos(math.pi * fraction * min(iteration / iterations, 1.0))


@schedules.register
def ramp(rate: float, iteration: int, *, numerator: NotNegative = 1.0, denominator: Positive = 10.0) -> float:
    """Rise as `(numerator + n) / (denominator + n)` in iteration n, up to the base rate. For decays of averages.

    The defaults give the warm-up of TensorFlow; 0 and 1 that of Mean Teacher, the mean of all weights so far. For a
    network that is updated every k iterations, multiply both by k: then n counts its updates.

    Args:
        rate: Base learning rate, or the largest decay as `scale`.
        iteration: Iteration within the phase, counted from 0.
        numerator: Added to the iteration above the fraction bar, 0 or more.
        denominator: Added to the iteration below the fraction bar, more than 0.

    Source: TensorFlow's ExponentialMovingAverage; Tarvainen and Valpola 2017, arXiv:1703.01780, section 3.1.
    """
    return min(rate, (numerator + iteration) / (denominator + iteration))


@schedules.register
def half_life(rate: float, iteration: int, *, iterations: Interval, ramp: Positive | None = None) -> float:
    """The decay by which the weight of an update halves within `iterations`.

    Args:
        rate: Base learning rate, a factor of the decay.
        iteration: Iteration within the phase, counted from 0.
        iterations: Half-life in iterations, 1 or more, or in samples, as in `10k samples`.
        ramp: Limits the half-life to this part of the iterations so far, such as 0.05: the first decay is 0. null: no
            limit.

    Source: Karras et al. 2020, arXiv:2006.06676, and their code, which counts samples.
    """
    life = iterations if ramp is None else min(iterations, ramp * iteration)
    return rate * math.pow(0.5, 1.0 / life) if life else 0.0


@schedules.register
def sigmoid(
    rate: float,
    iteration: int,
    *,
    iterations: Interval,
    start: float = 0.0,
    end: float = 1.0,
    steepness: Positive = 10.0,
) -> float:
    """Change from `start` towards `end` times the base rate as `2 / (1 + exp(-steepness t)) - 1`, then stay.

    t is the part of `iterations` that has passed. The curve is steep at first.

    Args:
        rate: Base learning rate.
        iteration: Iteration within the phase, counted from 0.
        iterations: Number of iterations until the rate stays, 1 or more.
        start: Rate at the first iteration, as a multiple of the base rate.
        end: Rate that the curve approaches, as a multiple of the base rate.
        steepness: How fast it approaches `end`, more than 0. 10: within 0.01 percent after `iterations`.

    Source: Ganin et al. 2016, arXiv:1505.07818, section 5.2.2, for the factor of the reversed gradient.
    """
    passed = min(iteration / iterations, 1.0)
    return rate * (start + (end - start) * math.tanh(steepness * passed / 2.0))


@schedules.register
def gaussian(rate: float, iteration: int, *, iterations: Interval, sharpness: Positive = 5.0) -> float:
    """Rise to the base rate within `iterations` as `exp(-sharpness (1 - t) ** 2)`, then stay.

    t is the part of `iterations` that has passed. The curve is flat at first.

    Args:
        rate: Base learning rate.
        iteration: Iteration within the phase, counted from 0.
        iterations: Number of iterations until the base rate, 1 or more.
        sharpness: How small the first rate is, more than 0: `exp(-sharpness)` times the base rate.

    Source: Laine and Aila 2017, arXiv:1610.02242, section 2.1, for the weight of unlabeled samples.
    """
    return rate * math.exp(-sharpness * math.pow(1.0 - min(iteration / iterations, 1.0), 2))
