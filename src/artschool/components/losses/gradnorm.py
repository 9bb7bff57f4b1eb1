"""Trains the weights of losses so that all tasks train at similar rates."""

import torch
from torch import Tensor, nn

from artschool import ranks
from artschool.components.gradients import gradient_products, tensor_at
from artschool.components.precision import at_least_float32
from artschool.errors import ConfigError
from artschool.registry import ComponentRole, losses
from artschool.registry.signature import Context, Network, NotNegative


@losses.register(roles=ComponentRole.DIFFERENTIATES, mean_over="batch")
class Gradnorm(nn.Module):
    """GradNorm: the sum of `|G_i - mean G * r_i^alpha|`, which trains the weights of losses and nothing else.

    G_i is the norm of the gradient of a loss times its weight, at a parameter that all losses share. r_i is
    `L_i / L_i(0)`, divided by its mean. The targets `mean G * r_i^alpha` get no gradient. L_i(0) is the first value of
    a loss, and part of a checkpoint. With `accumulate`, each micro-batch compares its own gradients. Several processes
    compare those of their samples together.

    Source: Chen et al. 2018, arXiv:1711.02257, eq. 1 and 2.

    Args:
        alpha: Strength of the pull towards equal rates. 0: equal gradient norms.
    """

    initial: Tensor

    def __init__(self, *, alpha: NotNegative = 1.5) -> None:
        super().__init__()
        self._alpha = alpha
        self.register_buffer("initial", torch.zeros(0))

    def forward(
        self,
        values: list[Tensor],
        *,
        weights: Network,
        network: Network | None = None,
        parameter: str | None = None,
        at: Tensor | None = None,
        context: Context,
    ) -> Tensor:
        """Compare gradient norms.

        Args:
            values: Values of losses, the `out` of their entries.
            weights: Network of type `numbers` with a weight for each loss, `initial: 1` and their number as `sum`. The
                step has to train it.
            network: Network that has `parameter`. The step has to train it.
            parameter: Name of the parameter at which the losses are differentiated, such as `trunk.weight`.
            at: Key at which the losses are differentiated, instead of a parameter.
            context: Scales losses that are differentiated in fp16.

        Raises:
            ConfigError: The numbers of losses and weights differ.
        """
        w = torch.stack(list(weights()))
        if len(values) != len(w):
            raise ConfigError(f"gradnorm: expected a weight for each of {len(values)} losses, got {len(w)} weights")
        found = _mean(torch.stack([at_least_float32(value.detach()) for value in values]), context)
        if len(self.initial) == 0:
            self.initial = found.clone()
        norms = w * gradient_products(values, tensor_at(network, parameter, at), context).detach().diagonal().sqrt()
        rates = found / self.initial
        targets = norms.detach().mean() * (rates / rates.mean()) ** self._alpha
        return (norms - targets).abs().sum()


def _mean(values: Tensor, context: Context) -> Tensor:
    """The mean over the samples of the micro-batches of all processes."""
    if ranks.world_size() == 1:
        return values
    sums = torch.cat([values, torch.ones_like(values[:1])]) * context.share
    ranks.sum_in_place([sums])
    return sums[:-1] / sums[-1]
