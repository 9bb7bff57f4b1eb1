"""Match the features of fakes to those of real samples in the layers of a critic."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, nn

from artschool.components.injectors.forward import MethodName, forward
from artschool.components.losses.critic import Inputs, as_list, total
from artschool.components.losses.pixel import mean_distance
from artschool.components.precision import at_least_float32
from artschool.errors import ConfigError
from artschool.registry import ComponentRole, losses
from artschool.registry.signature import Network


@losses.register(roles=ComponentRole.MINIMIZED, mean_over="samples")
def feature_matching(network: Network | None, fake: Inputs, real: Inputs, *, method: MethodName = "features") -> Tensor:
    """Mean absolute difference of a critic's features of fakes and real samples, summed over layers and parts.

    `sum_i mean |D_i(real) - D_i(fake)|`. Each fake is compared with the real sample at the same position of the batch,
    as in super-resolution, translation and vocoders. Real samples get no gradient.

    Args:
        network: Critic whose features are compared. null: `fake` and `real` are the features that an injector has
            computed, so that several losses share a call.
        fake: (B, ...) from the generator; for a conditional critic, a list of samples and conditions.
        real: (B, ...) from the data; for a conditional critic, a list of samples and conditions.
        method: Method of the critic that returns its features: a list of tensors, or a list of lists for a critic of
            several parts. `patch_critic` and `vgg_critic` have `features`.

    Raises:
        ConfigError: The critic does not have this method, or the features of fake and real have different shapes.

    Source: Wang et al. 2018, arXiv:1711.11585, eq. 4; Kong et al. 2020, arXiv:2010.05646, eq. 4.
    """
    of_fake = list(_flat(_features(network, fake, method), method))
    with torch.no_grad():
        of_real = [part.detach() for part in _flat(_features(network, real, method), method)]
    shapes = [[tuple(feature.shape) for feature in features] for features in (of_fake, of_real)]
    if shapes[0] != shapes[1]:
        raise ConfigError(
            f"feature_matching: features of fakes have shapes {shapes[0]}, but those of real samples {shapes[1]}"
        )
    return total([mean_distance(f, r) for f, r in zip(of_fake, of_real, strict=True)])


def _features(network: nn.Module | None, inputs: Inputs, method: str) -> Any:
    return inputs if network is None else forward(network, [*as_list(inputs)], method=method)


def _flat(features: Any, method: str) -> Iterator[Tensor]:
    if isinstance(features, Tensor):
        yield at_least_float32(features)
    elif isinstance(features, list | tuple) and features:
        for part in features:
            yield from _flat(part, method)
    else:
        raise ConfigError(f"feature_matching: {method!r} must return a list of tensors, got {type(features).__name__}")
