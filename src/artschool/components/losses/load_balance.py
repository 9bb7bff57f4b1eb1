"""Balance the load of the experts in a mixture of experts.

A router is any module of the network with a method `routing()`. The method returns a mapping about the router's last
call, or None before the first call:

    probabilities  (..., N), softmax over N experts at each position, with gradients
    chosen         (..., N), 1 for the experts that process the position, 0 for the others
    load           (..., N), only for noisy routers: probability that the expert is chosen, with gradients

The last dimension counts the experts. The other dimensions are arbitrary.
"""

from collections.abc import Iterator

import torch
from torch import Tensor, nn

from artschool.components.precision import at_least_float32
from artschool.errors import ConfigError
from artschool.registry import ComponentRole, losses
from artschool.registry.signature import Network

Routing = dict[str, Tensor]


@losses.register(roles=ComponentRole.MINIMIZED, mean_over="batch")
def switch_transformer_balance(network: Network) -> Tensor:
    """`N sum_i f_i P_i`, summed over the network's routers; 1 for a router with an even load of its N experts.

    f_i is the fraction of positions that expert i processes, and P_i its mean probability. Only P_i has gradients. The
    paper's weight is 0.01.

    Args:
        network: Network with routers, which the step has called before this loss. A router is a module with a method
            `routing()`, which returns `probabilities` (..., N) and `chosen` (..., N) of its last call.

    Raises:
        ConfigError: The network has no router, or a router has not been called.

    Source: Fedus et al. 2021, arXiv:2101.03961, eq. 4 to 6.
    """
    terms = []
    for routing in _routings(network):
        probabilities = at_least_float32(routing["probabilities"]).flatten(0, -2)
        shares = at_least_float32(routing["chosen"].detach()).flatten(0, -2).mean(0)
        terms.append(shares.numel() * (shares * probabilities.mean(0)).sum())
    return torch.stack(terms).sum()


@losses.register(roles=ComponentRole.MINIMIZED, mean_over="batch")
def mixture_of_experts(network: Network, *, importance_weight: float = 1.0, load_weight: float = 1.0) -> Tensor:
    """`importance_weight CV(importance)^2 + load_weight CV(load)^2`, summed over the network's routers.

    CV^2 is the variance over the experts divided by the square of their mean. The importance of an expert is the sum
    of its gates over the positions; a gate is its probability divided by that of all experts chosen at the position.
    The load of an expert is its expected number of positions.

    Args:
        network: Network with routers, which the step has called before this loss. A router is a module with a method
            `routing()`, which returns `probabilities` (..., N), `chosen` (..., N) and, unless load_weight is 0, `load`
            (..., N) of its last call.
        importance_weight: Factor of the first term, CV(importance)^2. With one expert for each position, all gates are
            1 and the term has no gradients.
        load_weight: Factor of the second term, CV(load)^2. 0: for routers without `load`.

    Raises:
        ConfigError: The network has no router, or a router has not been called or returns no load.

    Source: Shazeer et al. 2017, arXiv:1701.06538, eq. 6 to 11.
    """
    terms = []
    for routing in _routings(network):
        gates = at_least_float32(routing["probabilities"]) * routing["chosen"].detach()
        # The gates are 0 at a position that no expert has capacity for.
        gates = gates / gates.sum(-1, keepdim=True).clamp(min=torch.finfo(gates.dtype).tiny)
        terms.append(importance_weight * _squared_variation(gates))
        if load_weight:
            if "load" not in routing:
                raise ConfigError(
                    "mixture_of_experts: a router returns no `load`, which only noisy routers have. "
                    "Fix: write `load_weight: 0`"
                )
            terms.append(load_weight * _squared_variation(at_least_float32(routing["load"])))
    return torch.stack(terms).sum()


def _routings(network: nn.Module) -> Iterator[Routing]:
    routers = [(name, module) for name, module in network.named_modules() if callable(getattr(module, "routing", None))]
    if not routers:
        raise ConfigError(f"{type(network).__name__} has no router (a module with a method `routing()`)")
    for name, router in routers:
        routing: Routing | None = router.routing()
        if routing is None:
            raise ConfigError(f"router {name!r} has not been called. Fix: call the network before this loss")
        yield routing


def _squared_variation(values: Tensor) -> Tensor:
    """Variance divided by squared mean of the experts' sums over all positions."""
    totals = values.flatten(0, -2).sum(0)
    return totals.var(correction=0) / totals.mean().square()
