"""Another call of the network that made an output, with one of its inputs replaced."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from artschool.errors import ConfigError

Inputs = list[Tensor | float | None]
"""Positional arguments of a network: keys, numbers, or nothing."""


def output_for(
    network: nn.Module,
    altered: Tensor,
    others: Sequence[Any] | None,
    *,
    input_index: int,
    output_index: int | None,
    detach: bool = False,
) -> Tensor:
    """Call a network on `others` with `altered` put in at `input_index`.

    Args:
        others: The rest of its positional arguments, in order.
        output_index: Which of several results to take; without meaning where it returns one tensor.
        detach: Whether to call it without gradients.

    Raises:
        ConfigError: It returns several results, and `output_index` chooses none.
    """
    inputs = list(others or ())
    inputs.insert(input_index, altered)
    with torch.set_grad_enabled(torch.is_grad_enabled() and not detach):
        output = network(*inputs)
    if isinstance(output, Tensor):
        return output
    if output_index is None:
        raise ConfigError(f"the network returns {len(output)} results; choose one by `output_index`")
    chosen: Tensor = output[output_index]
    return chosen
