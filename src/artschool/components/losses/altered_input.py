"""Call a network again with one of its inputs replaced."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from artschool.errors import ConfigError

Inputs = list[Tensor | float | None]
"""Positional arguments of a network: keys, numbers, or null for None."""


def output_for(
    network: nn.Module,
    altered: Tensor,
    other_inputs: Sequence[Any] | None,
    *,
    input_index: int,
    output_index: int | None,
    detach: bool = False,
) -> Tensor:
    """Call a network on `other_inputs` with `altered` inserted at `input_index`.

    Args:
        other_inputs: The other positional arguments, in order.
        output_index: Index of the result to return, if the network returns several. Ignored if it returns one tensor.
        detach: Whether to call the network without gradients.

    Raises:
        ConfigError: The network returns several results, and `output_index` is None.
    """
    inputs = list(other_inputs or ())
    inputs.insert(input_index, altered)
    with torch.set_grad_enabled(torch.is_grad_enabled() and not detach):
        output = network(*inputs)
    if isinstance(output, Tensor):
        return output
    if output_index is None:
        raise ConfigError(f"the network returns {len(output)} results. Fix: choose one by `output_index`")
    chosen: Tensor = output[output_index]
    return chosen
