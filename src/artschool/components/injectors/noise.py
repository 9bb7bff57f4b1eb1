"""Random numbers, such as the latents of a generator."""

from typing import Literal

import torch
from torch import Tensor

from artschool.registry import injectors
from artschool.registry.signature import Count, ShapeOf, UnitInterval


@injectors.register
def noise(like: ShapeOf, *, shape: list[Count], kind: Literal["normal", "uniform"] = "normal") -> Tensor:
    """Draw random numbers of a shape for each sample.

    Args:
        like: (B, ...), gives the batch size and the device.
        shape: Shape of one sample.
        kind: Distribution of the numbers: standard `normal`, or `uniform` in 0..1.

    Returns:
        (B, *shape).
    """
    draw = torch.randn if kind == "normal" else torch.rand
    return draw(len(like), *shape, device=like.device)


@injectors.register
def style_mixing_noise(
    like: ShapeOf,
    *,
    latent_dim: Count = 512,
    mix_probability: UnitInterval = 0.9,
) -> list[Tensor]:
    """Draw two latents for each sample, which differ with a given probability.

    A generator uses the first latent up to some layer and the second after it, so that it cannot rely on neighbouring
    layers having the same style.

    Args:
        like: (B, ...), gives the batch size and the device.
        latent_dim: Size D of a latent.
        mix_probability: Probability in 0..1 that the two latents of a sample differ.

    Returns:
        Two tensors (B, D), standard normal.

    Source: Karras et al. 2019, arXiv:1812.04948, section 3.1.
    """
    first, second = torch.randn(2, len(like), latent_dim, device=like.device)
    mixed = torch.rand(len(like), 1, device=like.device) < mix_probability
    return [first, torch.where(mixed, second, first)]
