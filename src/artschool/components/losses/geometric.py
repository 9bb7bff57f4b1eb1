"""Consistency of a network under flips and turns of its input."""

import torch
from torch import Tensor

from artschool.components.losses.altered_input import Inputs, output_for
from artschool.components.losses.criteria import CRITERIA, Criterion
from artschool.registry import ComponentRole, losses
from artschool.registry.signature import Natural, Network

NUM_CHANGES = 5


@losses.register(roles=ComponentRole.MINIMIZED, mean_over="samples")
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
    """Distance between a network's output and its output for a flipped or turned input, after undoing the change.

    Each call draws one of five changes for the whole batch: a vertical or horizontal flip, or one to three quarter
    turns.

    Args:
        network: Network that computed `output`: maps images to images, larger by any factor.
        x: (B, C, H, W), the input to change. Quarter turns need a network that also takes (B, C, W, H).
        output: Output of the network for the unchanged x and `other_inputs`.
        other_inputs: Other positional arguments of the network, in order, which stay unchanged.
        input_index: Position of x among all positional arguments of the network, from 0.
        output_index: Index of `output` among the results of the network. null: the network returns one tensor.
        detach: Whether to call the network on the changed input without gradients, so that only `output` gets them.
        criterion: Distance: `l1` (mean absolute difference), `l2` (mean squared difference) or `cosine` (1 - cosine
            similarity).

    Raises:
        ConfigError: The network returns several results, and `output_index` is not given.
    """
    # On the CPU, so that reading the number does not wait for the device.
    change = int(torch.randint(NUM_CHANGES, (), device="cpu"))
    changed_output = output_for(
        network,
        _changed(x, change),
        other_inputs,
        input_index=input_index,
        output_index=output_index,
        detach=detach,
    )
    return CRITERIA[criterion](_changed(changed_output, change, back=True), output)


def _changed(x: Tensor, change: int, *, back: bool = False) -> Tensor:
    """Apply a change, or undo it: 0 and 1 flip a dimension, 2 to 4 turn by 1 to 3 quarters."""
    if change < 2:
        return x.flip(-2 + change)
    quarters = change - 1
    return x.rot90(-quarters if back else quarters, (-2, -1))
