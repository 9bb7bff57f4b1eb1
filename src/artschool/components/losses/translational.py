"""Consistency of a network's outputs for overlapping crops."""

import torch
from torch import Tensor

from artschool.components.losses.altered_input import Inputs, output_for
from artschool.components.losses.criteria import CRITERIA, Criterion
from artschool.errors import ConfigError
from artschool.registry import ComponentRole, losses
from artschool.registry.signature import Count, Natural, Network


@losses.register(roles=ComponentRole.MINIMIZED, mean_over="samples")
def translational(
    network: Network,
    output: Tensor,
    top_right: Tensor,
    bottom_left: Tensor,
    bottom_right: Tensor,
    other_inputs: Inputs | None = None,
    *,
    overlap: Count,
    input_index: Natural = 0,
    output_index: int | None = None,
    detach: bool = False,
    criterion: Criterion = "l1",
) -> Tensor:
    """Distance between a network's outputs for two overlapping patches of an image, where they overlap.

    The four patches are the corners of the image. `output` belongs to the patch at the top left. Each call draws one
    of the other patches for the whole batch.

    Args:
        network: Network that computed `output`: maps images to images, larger by any factor.
        output: (B, C, P, P), output of the network for the patch at the top left.
        top_right: (B, C', P', P'), the patch at the top right.
        bottom_left: (B, C', P', P'), the patch at the bottom left.
        bottom_right: (B, C', P', P'), the patch at the bottom right.
        other_inputs: Other positional arguments of the network, in order.
        overlap: Overlap of neighbouring patches, in pixels of the output.
        input_index: Position of the patch among all positional arguments of the network, from 0.
        output_index: Index of `output` among the results of the network. null: the network returns one tensor.
        detach: Whether to call the network on the other patch without gradients, so that only `output` gets them.
        criterion: Distance: `l1` (mean absolute difference), `l2` (mean squared difference) or `cosine` (1 - cosine
            similarity).

    Raises:
        ConfigError: The output is not larger than the overlap, or `output_index` is needed.
    """
    size = output.shape[-1]
    if overlap >= size:
        raise ConfigError(f"translational: overlap must be less than the output's size of {size} pixels, got {overlap}")
    patches = (top_right, bottom_left, bottom_right)
    # On the CPU, so that reading the number does not wait for the device.
    drawn = int(torch.randint(len(patches), (), device="cpu"))
    other_output = output_for(
        network, patches[drawn], other_inputs, input_index=input_index, output_index=output_index, detach=detach
    )
    near, far = slice(overlap), slice(size - overlap, size)
    rows, columns = ((far, near), (near, far), (near, near))[drawn]
    return CRITERIA[criterion](other_output[..., rows, columns], output[..., far, far])
