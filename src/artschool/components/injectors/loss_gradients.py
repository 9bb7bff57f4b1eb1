"""A ledger of losses: how large the gradient of each is at one tensor, and which of them agree."""

from itertools import combinations

import torch
from torch import Tensor

from artschool.components.gradients import gradient_products, tensor_at
from artschool.registry import ComponentRole, injectors
from artschool.registry.signature import Context, Network


@injectors.register(roles=ComponentRole.DIFFERENTIATES)
def loss_gradients(
    *,
    losses: dict[str, Tensor],
    network: Network | None = None,
    parameter: str | None = None,
    at: Tensor | None = None,
    context: Context,
) -> Tensor:
    """Log the norm of the gradient of each loss, and the cosine between the gradients of every two, at one tensor.

    The numbers are `norm/<name>` and `cosine/<name>/<name>` below the name of the injector. Gradients are those of the
    losses before their weights. Each loss costs a backward pass from the loss to the tensor: `every` determines how
    often.

    Args:
        losses: Values of losses, the `out` of their entries, by the name to log.
        network: Network that has `parameter`. The step has to train it.
        parameter: Name of the parameter at which the losses are differentiated, such as `last.weight`.
        at: Key at which the losses are differentiated, instead of a parameter.
        context: Takes the numbers, and scales losses that are differentiated in fp16.

    Returns:
        The norms, (T,), without gradient; `_` discards them.
    """
    products = gradient_products(list(losses.values()), tensor_at(network, parameter, at), context).detach()
    norms = products.diagonal().sqrt()
    for index, name in enumerate(losses):
        context.log(f"norm/{name}", norms[index])
    for (i, one), (j, other) in combinations(enumerate(losses), 2):
        # A loss without a gradient agrees with none.
        product = norms[i] * norms[j]
        context.log(f"cosine/{one}/{other}", torch.where(product > 0, products[i, j] / product, 0.0))
    return norms
