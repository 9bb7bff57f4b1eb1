"""A network should find nothing more to change in what it has made."""

from typing import Annotated

import torch.nn.functional as F
from pydantic import Field
from torch import Tensor

from artschool.components.losses.altered_input import Inputs, output_for
from artschool.components.losses.criteria import CRITERIA, Criterion
from artschool.registry import ComponentRole, losses
from artschool.registry.signature import Count, Natural, Network


@losses.register(roles=ComponentRole.MINIMIZED)
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
    """Distance of a network's output to what it makes of that output, made small again, `depth` times over.

    Args:
        network: What made `output`; images to images that are larger by a factor.
        output: (B, C, H, W), what the network made of its true input.
        other_inputs: The rest of the network's positional arguments, in order.
        scale_factor: Brings an output to the size of an input, by nearest neighbour: 1 / the network's factor.
        depth: How many times the network is called on its own output.
        input_index: Where the shrunk output stands among all positional arguments.
        output_index: Which of several results of the network `output` is.
        criterion: Which distance is taken.

    Raises:
        ConfigError: What comes out has another size, or one of several results has to be chosen.
    """
    made = output
    for _ in range(depth):
        small = F.interpolate(made, scale_factor=scale_factor, mode="nearest")
        made = output_for(network, small, other_inputs, input_index=input_index, output_index=output_index)
    return CRITERIA[criterion](made, output)
