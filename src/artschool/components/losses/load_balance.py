"""Mixtures of experts: every expert should have its share of the work.

A router is any module inside the network with a method `routing()`. It tells of the last call of the router, by name:

    probabilities  (..., N), how much each of N experts is wanted at each place: a softmax, with gradients
    chosen         (..., N), 1 for the experts that the place was sent to, 0 for the others
    load           (..., N), only of noisy routers: how probable it was that the expert would be chosen, with gradients

or None while it has not been called. The last dimension counts the experts; the others do not matter.
"""

from collections.abc import Iterator

import torch
from torch import Tensor, nn

from artschool.components.losses.precision import at_least_float32
from artschool.errors import ConfigError
from artschool.registry import ComponentRole, losses
from artschool.registry.signature import Network

Routing = dict[str, Tensor]


@losses.register(roles=ComponentRole.MINIMIZED)
def switch_transformer_balance(network: Network) -> Tensor:
    """`N sum_i f_i P_i`, summed over the network's routers: 1 for each whose N experts share the work evenly.

    f_i is the share of places that were sent to expert i, P_i the mean probability that it was given, which alone has
    gradients. The paper's weight is 0.01.

    Args:
        network: Has been called in this step. Its routers are the modules with a method `routing()`, which returns
            `probabilities` (..., N) and `chosen` (..., N) of their last call.

    Raises:
        ConfigError: It has no router, or one has not been called.

    Source: Fedus et al. 2021, arXiv:2101.03961, eq. 4 to 6.
    """
    terms = []
    for routing in _routings(network):
        probabilities = at_least_float32(routing["probabilities"]).flatten(0, -2)
        shares = at_least_float32(routing["chosen"].detach()).flatten(0, -2).mean(0)
        terms.append(shares.numel() * (shares * probabilities.mean(0)).sum())
    return torch.stack(terms).sum()


@losses.register(roles=ComponentRole.MINIMIZED)
def mixture_of_experts(network: Network, *, importance_weight: float = 1.0, load_weight: float = 1.0) -> Tensor:
    """`importance_weight CV(importance)^2 + load_weight CV(load)^2`, summed over the network's routers.

    CV^2 is the variance over the experts, over the square of their mean. An expert's importance is the sum over places
    of its gates: its probability over that of all that were chosen there. Its load is the number of places that it was
    expected to get.

    Args:
        network: Has been called in this step. Its routers are the modules with a method `routing()`, which returns
            `probabilities` (..., N), `chosen` (..., N) and, for a load_weight, `load` (..., N) of their last call.
        importance_weight: Factor of the first term. With one expert chosen at each place its gate is always 1, and
            the term has no gradients.
        load_weight: Factor of the second term, CV(load)^2; 0 for routers that know no load.

    Raises:
        ConfigError: It has no router, one has not been called, or one tells no load.

    Source: Shazeer et al. 2017, arXiv:1701.06538, eq. 6 to 11.
    """
    terms = []
    for routing in _routings(network):
        gates = at_least_float32(routing["probabilities"]) * routing["chosen"].detach()
        # A place that no expert had room for has no gates.
        gates = gates / gates.sum(-1, keepdim=True).clamp(min=torch.finfo(gates.dtype).tiny)
        terms.append(importance_weight * _squared_variation(gates))
        if load_weight:
            if "load" not in routing:
                raise ConfigError("a router tells no `load`, which only noisy ones know; write `load_weight: 0`")
            terms.append(load_weight * _squared_variation(at_least_float32(routing["load"])))
    return torch.stack(terms).sum()


def _routings(network: nn.Module) -> Iterator[Routing]:
    routers = [(name, module) for name, module in network.named_modules() if callable(getattr(module, "routing", None))]
    if not routers:
        raise ConfigError(f"{type(network).__name__} has no router: no module in it has a method `routing()`")
    for name, router in routers:
        routing: Routing | None = router.routing()
        if routing is None:
            raise ConfigError(f"router {name!r} has not been called; call the network before this loss")
        yield routing


def _squared_variation(values: Tensor) -> Tensor:
    """Variance over squared mean of the experts' sums over all places."""
    totals = values.flatten(0, -2).sum(0)
    return totals.var(correction=0) / totals.mean().square()
