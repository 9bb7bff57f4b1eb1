"""The weight of a loss by the ratio of gradients, as VQGAN weighs its adversarial loss."""

import torch
from torch import Tensor

from artschool.components.gradients import gradient_products, tensor_at
from artschool.registry import ComponentRole, injectors
from artschool.registry.signature import Context, Network, NotNegative, Positive


@injectors.register(roles=ComponentRole.DIFFERENTIATES)
def gradient_ratio(
    reference: Tensor | list[Tensor],
    loss: Tensor,
    *,
    network: Network | None = None,
    parameter: str | None = None,
    at: Tensor | None = None,
    factor: float = 1.0,
    eps: Positive = 1e-6,
    max: NotNegative = 1e4,  # the name in the file
    context: Context,
) -> Tensor:
    """Compute the weight with which the gradient of a loss is as large as that of another one.

    `factor * min(|gradient of reference| / (|gradient of loss| + eps), max)`, with the L2 norms of the gradients at one
    tensor: that of a parameter, such as the weight of the last layer of a generator, or of a key. With `accumulate`,
    each micro-batch has a weight of its own. Several processes agree on it: it is that of their samples together.

    Where the step does not train the network, the gradients and the weight are 0. A gradient that is not finite makes
    the weight NaN.

    Args:
        reference: Value of a loss, the `out` of its entry, or a list of losses that are added up.
        loss: Value of the loss to weigh.
        network: Network that has `parameter`. The step has to train it.
        parameter: Name of the parameter at which the losses are differentiated, such as `last.weight`.
        at: Key at which the losses are differentiated, instead of a parameter.
        factor: Factor of the ratio.
        eps: Number added to the divisor. The authors' code uses 1e-4.
        max: Upper bound of the ratio.
        context: Scales losses that are differentiated in fp16.

    Returns:
        A scalar without gradient, for the `weight` of the loss.

    Source: Esser et al. 2021, arXiv:2012.09841, eq. 7.
    """
    references = reference if isinstance(reference, list) else [reference]
    products = gradient_products([sum(references[1:], references[0]), loss], tensor_at(network, parameter, at), context)
    norms = products.detach().diagonal().sqrt()
    ratio = (norms[0] / (norms[1] + eps)).clamp(max=max)
    return torch.where(norms.isfinite().all(), ratio * factor, torch.nan)
