"""Consistency of a network applied to its own output."""

from typing import Annotated

import torch.nn.functional as F
from pydantic import Field
from torch import Tensor

from artschool.components.losses.altered_input import Inputs, output_for
from artschool.components.losses.criteria import CRITERIA, Criterion
from artschool.registry import ComponentRole, losses
from artschool.registry.signature import Count, Natural, Network


@losses.register(roles=ComponentRole.MINIMIZED, mean_over="samples")
def recursive(
    network: Network,
    output: Tensor,
    other_inputs: Inputs | None = None,
    *,
    scale_factor: Annotated[float, Field(gt=0, le=1)],
    depth: Count = 1,
    input_index: Natural = 0,
    output_index: int | None = None,
    criterion: Criterion = "l1",
) -> Tensor:
    """Distance between a network's output and the output after shrinking it and calling the network again, repeatedly.

    Args:
        network: Network that computed `output`: maps images to images that are larger by a factor.
        output: (B, C, H, W), output of the network for its original input.
        other_inputs: Other positional arguments of the network, in order.
        scale_factor: Factor that shrinks an output to the size of an input, by nearest neighbour: 1 / the network's
            factor.
        depth: Number of times to shrink the output and call the network on it.
        input_index: Position of the shrunk output among all positional arguments of the network, from 0.
        output_index: Index of `output` among the results of the network. null: the network returns one tensor.
        criterion: Distance: `l1` (mean absolute difference), `l2` (mean squared difference) or `cosine` (1 - cosine
            similarity).

    Raises:
        ConfigError: The output has another size, or `output_index` is needed.
    """
    last = output
    for _ in range(depth):
        small = F.interpolate(last, scale_factor=scale_factor, mode="nearest")
        last = output_for(network, small, other_inputs, input_index=input_index, output_index=output_index)
    return CRITERIA[criterion](last, output)
