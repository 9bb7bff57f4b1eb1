"""Components with a mistake in their code, as if an installed package had brought them."""

from __future__ import annotations

import torch
from torch import Tensor

from artschool import injectors, losses


@losses.register
def num_errors(logits: Tensor, labels: Tensor) -> Tensor:
    """How many are read wrongly: a whole number."""
    wrong: Tensor = logits.argmax(1) != labels
    return wrong.sum()


@losses.register
def spectral(fake: Tensor, real: Tensor) -> Tensor:
    """The mean difference of spectra: a complex number."""
    difference: Tensor = torch.fft.fft2(fake) - torch.fft.fft2(real)
    return difference.mean()


@losses.register
def l1_of_each(fake: Tensor, real: Tensor) -> Tensor:
    """One number for each sample."""
    return (fake - real).abs().flatten(1).mean(1)


@losses.register
def l1_as_number(fake: Tensor, real: Tensor) -> Tensor:
    """A number of Python, without the way back to what made it."""
    return float((fake - real).abs().mean().detach())  # type: ignore[return-value]  # the mistake


@losses.register
def l1_of_copies(fake: Tensor, real: Tensor) -> Tensor:
    """A new tensor of the values alone."""
    return (fake.detach() - real).abs().mean()


@losses.register
def squared_in_place(fake: Tensor, real: Tensor) -> Tensor:
    """The mean squared difference, computed where the samples are."""
    error = fake.sub_(real)
    return error.mul_(error).mean()


@injectors.register
def quantized(x: Tensor) -> Tensor:
    """0..255 as whole numbers."""
    return (x * 255).round().to(torch.uint8)
