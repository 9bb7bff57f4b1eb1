"""One feature vector for each sample, from feature maps of any form."""

from collections.abc import Mapping, Sequence
from typing import Any

from torch import Tensor, nn

from artschool.components.precision import without_autocast
from artschool.errors import ConfigError


def pooled_features(network: nn.Module, x: Tensor) -> Tensor:
    """Features of each sample in float64: (B, ...) to (B, D).

    Feature maps (B, D, ...) are averaged over their positions. Of a list or mapping of maps, the last is used.

    Raises:
        ConfigError: The network does not return features or feature maps.
    """
    # Differences of means and of products cancel, so the features themselves must not be rounded to 16 bits.
    with without_autocast(x):
        output: Any = network(x.float() if x.is_floating_point() else x)
    if isinstance(output, Mapping):
        output = list(output.values())
    if isinstance(output, Sequence) and output:
        output = output[-1]
    if not isinstance(output, Tensor) or output.dim() < 2:
        found = tuple(output.shape) if isinstance(output, Tensor) else type(output).__name__
        raise ConfigError(f"a feature network must return (B, D) or feature maps (B, D, ...), got {found}")
    return output.double().flatten(2).mean(2) if output.dim() > 2 else output.double()
