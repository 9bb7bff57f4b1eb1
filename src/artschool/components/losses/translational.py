"""A network should not care where its input was cut out."""

import torch
from torch import Tensor

from artschool.components.losses.altered_input import Inputs, output_for
from artschool.components.losses.criteria import CRITERIA, Criterion
from artschool.errors import ConfigError
from artschool.registry import ComponentRole, losses
from artschool.registry.signature import Count, Natural, Network


@losses.register(roles=ComponentRole.MINIMIZED)
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
    """Distance of a network's outputs for two overlapping patches of one image, where they overlap.

    The four patches are the corners of the image. One is always that at the top left, for which the output is there
    already; each call draws one of the others for the whole batch.

    Args:
        network: What made `output`; images to images, larger by any factor.
        output: (B, C, P, P), what the network made of the patch at the top left.
        top_right: (B, C', P', P'), the patch at the top right.
        bottom_left: (B, C', P', P'), the patch at the bottom left.
        bottom_right: (B, C', P', P'), the patch at the bottom right.
        other_inputs: The rest of the network's positional arguments, in order.
        overlap: How far neighbouring patches overlap, in pixels of the output.
        input_index: Where the patch stands among all positional arguments.
        output_index: Which of several results of the network `output` is.
        detach: Whether only `output` learns, and the call on the other patch needs no gradients.
        criterion: Which distance is taken.

    Raises:
        ConfigError: The output is no larger than the overlap, or one of several results has to be chosen.
    """
    size = output.shape[-1]
    if overlap >= size:
        raise ConfigError(
            f"outputs of {size} pixels cannot overlap by {overlap}; `overlap` counts pixels of the output"
        )
    patches = (top_right, bottom_left, bottom_right)
    # On the CPU, where reading it waits for no device.
    drawn = int(torch.randint(len(patches), (), device="cpu"))
    other = output_for(
        network, patches[drawn], other_inputs, input_index=input_index, output_index=output_index, detach=detach
    )
    near, far = slice(overlap), slice(size - overlap, size)
    rows, columns = ((far, near), (near, far), (near, near))[drawn]
    return CRITERIA[criterion](other[..., rows, columns], output[..., far, far])
