"""A network should not care how its input lies."""

import torch
from torch import Tensor

from artschool.components.losses.altered_input import Inputs, output_for
from artschool.components.losses.criteria import CRITERIA, Criterion
from artschool.registry import ComponentRole, losses
from artschool.registry.signature import Natural, Network

NUM_CHANGES = 5


@losses.register(roles=ComponentRole.MINIMIZED)
def geometric(
    network: Network,
    x: Tensor,
    output: Tensor,
    other_inputs: Inputs | None = None,
    *,
    input_index: Natural = 0,
    output_index: int | None = None,
    detach: bool = False,
    criterion: Criterion = "l1",
) -> Tensor:
    """Distance of a network's output to that for an input which was flipped or turned, once it is turned back.

    Each call draws one of five changes for the whole batch: a flip up-down or left-right, or one to three quarter
    turns.

    Args:
        network: What made `output`; images to images, larger by any factor.
        x: (B, C, H, W), the input to alter. Quarter turns need a network that takes (B, C, W, H) too.
        output: What the network made of x and the other inputs, unaltered.
        other_inputs: The rest of the network's positional arguments, in order; they stay as they are.
        input_index: Where x stands among all positional arguments of the network.
        output_index: Which of several results of the network `output` is.
        detach: Whether only `output` learns, and the call on the altered input needs no gradients.
        criterion: Which distance is taken.

    Raises:
        ConfigError: The network returns several results, and `output_index` is not given.
    """
    # On the CPU, where reading it waits for no device.
    change = int(torch.randint(NUM_CHANGES, (), device="cpu"))
    made = output_for(
        network,
        _changed(x, change),
        other_inputs,
        input_index=input_index,
        output_index=output_index,
        detach=detach,
    )
    return CRITERIA[criterion](_changed(made, change, back=True), output)


def _changed(x: Tensor, change: int, *, back: bool = False) -> Tensor:
    """Change 0 and 1 flip a dimension, 2 to 4 turn by as many quarters less one."""
    if change < 2:
        return x.flip(-2 + change)
    quarters = change - 1
    return x.rot90(-quarters if back else quarters, (-2, -1))
