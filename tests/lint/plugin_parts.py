"""A plugin's components, each with the roles and options of a built-in one and a name as long as the built-in's."""

from __future__ import annotations

from typing import Any, Literal

import torch
from torch import Tensor, nn

from artschool.registry import ComponentRole, injectors, losses, metrics, networks, optimizers
from artschool.registry.ranges import Known, Ranges
from artschool.registry.signature import Network


@losses.register(
    roles={ComponentRole.CRITIC_LOSS, ComponentRole.TAKES_LOGITS, ComponentRole.MINIMIZED}, mean_over="samples"
)
def own_discriminator(network: Network, fake: Tensor, real: Tensor, *, kind: Literal["wgan"]) -> Tensor:
    """Wasserstein loss of a critic."""
    loss: Tensor = network(fake).mean() - network(real).mean()
    return loss


@losses.register(
    roles={ComponentRole.GENERATOR_LOSS, ComponentRole.TAKES_LOGITS, ComponentRole.MINIMIZED}, mean_over="samples"
)
def own_generator(network: Network, fake: Tensor, *, kind: Literal["wgan", "hinge", "lsgan"]) -> Tensor:
    """Wasserstein loss of a generator."""
    loss: Tensor = -network(fake).mean()
    return loss


@losses.register(
    roles={ComponentRole.CRITIC_PENALTY, ComponentRole.SECOND_ORDER, ComponentRole.MINIMIZED}, mean_over="samples"
)
def own_grad_penalty(network: Network, real: Tensor, *, kind: Literal["r1"]) -> Tensor:
    """Squared gradient at real samples."""
    real = real.detach().requires_grad_()
    (gradient,) = torch.autograd.grad(network(real).sum(), real, create_graph=True)
    return gradient.square().mean()


@losses.register(
    roles={ComponentRole.TAKES_LOGITS, ComponentRole.MINIMIZED}, count=lambda labels, mask: (labels * mask).sum()
)
def own_entropies(logits: Tensor, labels: Tensor, mask: Tensor | None = None) -> Tensor:
    """Cross entropy."""
    return nn.functional.cross_entropy(logits, labels)


@losses.register("my", roles=ComponentRole.MINIMIZED, mean_over="samples")
def distance(fake: Tensor, real: Tensor) -> Tensor:
    """Mean absolute difference."""
    return (fake - real).abs().mean()


@networks.register("own", roles=ComponentRole.STARTS_RANDOM)
class Features(nn.Module):
    """One convolution."""

    def __init__(self, *, layers: list[str]) -> None:
        """Make it."""
        super().__init__()


@injectors.register(roles={ComponentRole.SAMPLER_TRAINING, ComponentRole.GAUSSIAN_DIFFUSION})
def own_denoising_task(
    network: Network,
    x: Tensor,
    conditions: dict[str, Tensor],
    *,
    prediction: str,
    variance: str,
    nothing: dict[str, float],
    drop_probability: float,
    num_timesteps: int = 1000,
    objective: str = "mse",
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Train a network to remove noise."""
    raise NotImplementedError


@injectors.register(roles=ComponentRole.SAMPLER)
def own_draw_samples(
    network: Network,
    like: Tensor,
    conditions: dict[str, Tensor],
    *,
    prediction: str,
    variance: str,
    nothing: dict[str, float],
    guidance: float,
    steps: int,
    num_timesteps: int = 1000,
) -> Tensor:
    """Draw samples."""
    raise NotImplementedError


def own_values(known: Known) -> Ranges:
    """The range of the option."""
    return dict.fromkeys(("fake", "real"), known.options["data_range"])


@metrics.register("psn2", roles=ComponentRole.HIGHER_IS_BETTER, values=own_values)
class OwnMetric:
    """Adds up."""

    def __init__(self, *, data_range: tuple[float, float] = (0.0, 1.0)) -> None:
        """Take a range."""

    def update(self, fake: Tensor, real: Tensor) -> None:
        """Add up."""

    def compute(self) -> Tensor:
        """The sum."""
        raise NotImplementedError


class OwnAdam(torch.optim.Adam):
    """Adam with the options that the files set."""

    def __init__(
        self,
        params: Any,
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        weight_decay: float = 0.0,
    ) -> None:
        """Take parameters."""
        super().__init__(params, lr, betas, weight_decay=weight_decay)


optimizers.register("moma", OwnAdam, roles={ComponentRole.ADAPTIVE, ComponentRole.COUPLED_DECAY})
optimizers.register("momaw", OwnAdam, roles=ComponentRole.ADAPTIVE)
