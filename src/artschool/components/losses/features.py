"""Feature maps of a network that returns a tensor, a sequence or a mapping."""

from collections.abc import Mapping, Sequence
from typing import Annotated, Any

import torch
from pydantic import Field
from torch import Tensor, nn

from artschool.components.precision import at_least_float32
from artschool.errors import ConfigError
from artschool.wording.names import allowed

Maps = dict[str, Tensor]
"""Feature maps by the name of their layer."""
LayerWeights = Annotated[dict[str, float], Field(min_length=1)]
"""The layers that a loss compares, with their weights."""


def feature_maps(network: nn.Module, x: Tensor) -> Maps:
    """Feature maps of a network for x, by name, in float32 or better.

    The name of a single tensor is "0"; the items of a sequence are "0", "1", ...

    Raises:
        ConfigError: The network does not return a tensor, or a sequence or mapping of tensors.
    """
    return {name: at_least_float32(value) for name, value in _named(network(x)).items()}


def feature_pairs(
    network: nn.Module, fake: Tensor, real: Tensor, *, real_network: nn.Module | None = None
) -> dict[str, tuple[Tensor, Tensor]]:
    """Feature maps of two batches by layer: those of `fake` with gradients, those of `real` without.

    Args:
        network: Computes the maps.
        real_network: Computes the maps of `real`. None: `network`.

    Raises:
        ConfigError: The networks return different maps.
    """
    with torch.no_grad():
        real_maps = feature_maps(network if real_network is None else real_network, real)
    fake_maps = feature_maps(network, fake)
    if fake_maps.keys() != real_maps.keys():
        raise ConfigError(
            f"the networks return different maps: {', '.join(fake_maps)} for fake, {', '.join(real_maps)} for real"
        )
    return {name: (fake_maps[name], real_maps[name]) for name in fake_maps}


def weights_of(layers: Sequence[str], chosen: Mapping[str, float] | None) -> dict[str, float]:
    """The weights of the layers to compare: 1 for all layers if `chosen` is None.

    Raises:
        ConfigError: A chosen layer does not exist.
    """
    if chosen is None:
        return dict.fromkeys(layers, 1.0)
    for name in chosen:
        if name not in layers:
            raise ConfigError(f"unknown layer {name!r}. {allowed('Available layers', name, layers)}")
    return dict(chosen)


def _named(output: Any) -> Mapping[str, Tensor]:
    if isinstance(output, Tensor):
        return {"0": output}
    if isinstance(output, Mapping):
        return output
    if isinstance(output, Sequence):
        return {str(index): value for index, value in enumerate(output)}
    raise ConfigError(
        f"a feature network must return a tensor, or a list or mapping of tensors, got {type(output).__name__}"
    )
