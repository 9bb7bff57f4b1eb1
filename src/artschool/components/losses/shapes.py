"""Checks of the shapes of tensors that a loss or metric compares, which torch would broadcast."""

from __future__ import annotations

from torch import Tensor

from artschool.components.precision import at_least_float32
from artschool.errors import ConfigError


def pair(owner: str, fake: Tensor, real: Tensor) -> tuple[Tensor, Tensor]:
    """Both tensors in float32 or better.

    Raises:
        ConfigError: The shapes differ. The message names the loss or metric.
    """
    if fake.shape != real.shape:
        check_equal(owner, fake=fake, real=real)
    return at_least_float32(fake), at_least_float32(real)


def check_equal(owner: str, **tensors: Tensor) -> None:
    """Check that two tensors have one shape.

    Args:
        owner: Name of the loss or metric, for the message.
        tensors: The two tensors by the name of their parameter.

    Raises:
        ConfigError: The shapes differ.
    """
    # Broadcasting (B, 1) against (B,) would compare every sample with every other, and the loss would still decrease.
    _check(f"{owner} compares equal shapes", slice(None), tensors)


def check_channels(owner: str, **tensors: Tensor) -> None:
    """Check that two tensors (B, C, ...) have the same number of dimensions and of channels.

    Args:
        owner: Name of the loss or metric, for the message.
        tensors: The two tensors by the name of their parameter.

    Raises:
        ConfigError: The numbers of dimensions or of channels differ.
    """
    _check(f"{owner} compares equal numbers of channels", slice(1, 2), tensors)


def check_samples(owner: str, **tensors: Tensor) -> None:
    """Check that two tensors (B, C, ...) have the same number of dimensions, samples and channels.

    Args:
        owner: Name of the loss or metric, for the message.
        tensors: The two tensors by the name of their parameter.

    Raises:
        ConfigError: The numbers of dimensions, samples or channels differ.
    """
    _check(f"{owner} compares equal numbers of samples and channels", slice(2), tensors)


def _check(expected: str, dims: slice, tensors: dict[str, Tensor]) -> None:
    (first, a), (second, b) = tensors.items()
    if a.shape[dims] != b.shape[dims] or a.dim() != b.dim():
        raise ConfigError(f"{expected}, but {first} is {tuple(a.shape)} and {second} is {tuple(b.shape)}")


def check_window(image: Tensor, window: int) -> None:
    """Check that images (B, C, H, W) are at least as large as a window.

    Raises:
        ConfigError: They are not images, or smaller than the window.
    """
    if image.dim() != 4:
        raise ConfigError(f"expected images (B, C, H, W), got shape {tuple(image.shape)}")
    if min(image.shape[-2:]) < window:
        raise ConfigError(f"images of {tuple(image.shape[-2:])} pixels are smaller than the window of {window}")
