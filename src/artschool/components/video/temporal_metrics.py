"""Metrics of motion in sequences."""

from __future__ import annotations

from torch import Tensor

from artschool.components.losses.shapes import check_equal, pair
from artschool.components.precision import at_least_float32
from artschool.components.video.sequences import on_frames
from artschool.registry import ComponentRole, metrics
from artschool.registry.signature import Network


@metrics.register(roles=ComponentRole.LOWER_IS_BETTER)
def tof(flow: Network, fake: Tensor, real: Tensor) -> Tensor:
    """tOF: difference between the motion in a sequence and in the original, by the flows that a network finds in both.

    The mean absolute difference of both components over pixels and pairs of successive frames.

    Args:
        flow: Network from two frames (B, C, H, W) to the flow from the first to the second, (B, 2, H, W) in pixels.
        fake: (B, T, C, H, W).
        real: Same shape as fake.

    Returns:
        (B,) in pixels, lower is better.

    Raises:
        ConfigError: The shapes differ.

    Source: Chu et al. 2020, arXiv:1811.09393, section 4.
    """
    check_equal("tof", fake=fake, real=real)
    found, true = (at_least_float32(on_frames(flow, x[:, :-1], x[:, 1:])) for x in (fake, real))
    return (found - true).abs().flatten(1).mean(1)


@metrics.register
def temporal_difference(fake: Tensor, real: Tensor) -> Tensor:
    """Difference between the changes from frame to frame in two sequences: flicker, and details that do not move along.

    The mean of `|(fake_{t+1} - fake_t) - (real_{t+1} - real_t)|`.

    Args:
        fake: (B, T, ...).
        real: Same shape as fake.

    Returns:
        (B,) in units of a pixel's value, lower is better; 0 for an error that is the same in all frames.

    Raises:
        ConfigError: The shapes differ.
    """
    fake, real = pair("temporal_difference", fake, real)
    error = fake - real
    return (error[:, 1:] - error[:, :-1]).abs().flatten(1).mean(1)


@metrics.register(roles=ComponentRole.LOWER_IS_BETTER)
def end_point_error(fake: Tensor, real: Tensor) -> Tensor:
    """Mean Euclidean distance between the ends of two flows.

    Args:
        fake: (B, 2, H, W) in pixels.
        real: Same shape as fake.

    Returns:
        (B,) in pixels, lower is better.

    Raises:
        ConfigError: The shapes differ.

    Source: Baker et al. 2011, A Database and Evaluation Methodology for Optical Flow, IJCV 92, section 4.1.
    """
    fake, real = pair("end_point_error", fake, real)
    return (fake - real).square().sum(1).sqrt().flatten(1).mean(1)
