"""Fakes that a critic's inner layers cannot tell from real samples."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from artschool.components.injectors.forward import MethodName, forward
from artschool.components.losses.critic import Inputs, as_list, total
from artschool.components.losses.precision import at_least_float32
from artschool.errors import ConfigError
from artschool.registry import ComponentRole, losses
from artschool.registry.signature import Network


@losses.register(roles=ComponentRole.MINIMIZED)
def feature_matching(network: Network, fake: Inputs, real: Inputs, *, method: MethodName = "features") -> Tensor:
    """Mean absolute difference of a critic's features of fakes and real samples, summed over layers and parts.

    `sum_i mean |D_i(real) - D_i(fake)|`. Fakes and real samples are compared one by one, so each fake belongs to the
    real sample at its place: super-resolution, translation, vocoders. Real samples get no gradient.

    Args:
        network: The critic, whose features are compared.
        fake: (B, ...) from the generator; or a list, with what a conditional critic takes besides.
        real: (B, ...) from the data; or a list, with what a conditional critic takes besides.
        method: The critic's method that returns its features: a list of tensors, or a list of such lists where it
            has several parts. `patch_critic` and `vgg_critic` have `features`.

    Raises:
        ConfigError: The critic has no such method, or it returns features that do not match.

    Source: Wang et al. 2018, arXiv:1711.11585, eq. 4; Kong et al. 2020, arXiv:2010.05646, eq. 4.
    """
    of_fake = list(_flat(forward(network, [*as_list(fake)], method=method), method))
    with torch.no_grad():
        of_real = [part.detach() for part in _flat(forward(network, [*as_list(real)], method=method), method)]
    shapes = [[tuple(feature.shape) for feature in features] for features in (of_fake, of_real)]
    if shapes[0] != shapes[1]:
        raise ConfigError(f"features of fakes have the shapes {shapes[0]}, those of real samples {shapes[1]}")
    return total([F.l1_loss(f, r) for f, r in zip(of_fake, of_real, strict=True)])


def _flat(features: Any, method: str) -> Iterator[Tensor]:
    if isinstance(features, Tensor):
        yield at_least_float32(features)
    elif isinstance(features, list | tuple) and features:
        for part in features:
            yield from _flat(part, method)
    else:
        raise ConfigError(f"{method!r} returned {type(features).__name__}; features are a list of tensors")
