"""Feature maps of a network, whatever it returns them in."""

from collections.abc import Mapping, Sequence
from typing import Annotated, Any

import torch
from pydantic import Field
from torch import Tensor, nn

from artschool.components.losses.precision import at_least_float32
from artschool.errors import ConfigError, allowed

Maps = dict[str, Tensor]
"""Feature maps by the name of their layer."""
LayerWeights = Annotated[dict[str, float], Field(min_length=1)]
"""The layers that count in a loss, and how much."""


def feature_maps(network: nn.Module, x: Tensor) -> Maps:
    """What a network makes of x: one tensor, a sequence of them, or a mapping from their names, in float32 or better.

    Raises:
        ConfigError: It returns something else.
    """
    return {name: at_least_float32(value) for name, value in _named(network(x)).items()}


def feature_pairs(
    network: nn.Module, fake: Tensor, real: Tensor, *, real_network: nn.Module | None = None
) -> dict[str, tuple[Tensor, Tensor]]:
    """Feature maps of two batches by layer: those of `fake` with gradients, those of `real` without.

    Args:
        network: Makes the maps.
        real_network: Makes those of `real`, if another does.

    Raises:
        ConfigError: The networks return different maps.
    """
    with torch.no_grad():
        real_maps = feature_maps(network if real_network is None else real_network, real)
    fake_maps = feature_maps(network, fake)
    if fake_maps.keys() != real_maps.keys():
        raise ConfigError(f"the networks return different maps: {', '.join(fake_maps)}; {', '.join(real_maps)}")
    return {name: (fake_maps[name], real_maps[name]) for name in fake_maps}


def weights_of(layers: Sequence[str], chosen: Mapping[str, float] | None) -> dict[str, float]:
    """The layers that count, and how much: all alike if none is chosen.

    Raises:
        ConfigError: A chosen layer is none of them.
    """
    if chosen is None:
        return dict.fromkeys(layers, 1.0)
    for name in chosen:
        if name not in layers:
            raise ConfigError(f"the network returns no layer {name!r}. {allowed('It returns', name, layers)}")
    return dict(chosen)


def _named(output: Any) -> Mapping[str, Tensor]:
    if isinstance(output, Tensor):
        return {"0": output}
    if isinstance(output, Mapping):
        return output
    if isinstance(output, Sequence):
        return {str(index): value for index, value in enumerate(output)}
    raise ConfigError(f"a feature network returns a tensor, a list or a mapping of them, not {type(output).__name__}")
