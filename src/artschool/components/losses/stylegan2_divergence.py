"""The hinge loss of DL-Art-School's StyleGAN2, whose critic has large logits for fakes."""

from __future__ import annotations

from typing import Literal

from torch import Tensor

from artschool.components.losses.critic import Inputs, logits_of, total
from artschool.components.losses.gan_kinds import discriminator_hinge, generator_hinge
from artschool.errors import ConfigError
from artschool.registry import ComponentRole, losses
from artschool.registry.signature import Network, NotNegativeScheduled


@losses.register(
    roles={
        ComponentRole.CRITIC_LOSS,
        ComponentRole.GENERATOR_LOSS,
        ComponentRole.TAKES_LOGITS,
        ComponentRole.MINIMIZED,
    },
    mean_over="samples",
)
def stylegan2_divergence(
    network: Network,
    fake: Inputs,
    real: Inputs | None = None,
    *,
    role: Literal["generator", "critic"],
    noise: NotNegativeScheduled = 0.0,
) -> Tensor:
    """Hinge loss for a critic whose logits are large for fakes: `generator_gan`, `discriminator_gan` with -logits.

    Use it for networks that were trained with it, and those two losses otherwise. `fake` keeps its gradient
    in both roles.

    Args:
        network: Critic: maps samples to logits of any shape, small for real samples, or to a list of logits, whose
            losses are summed.
        fake: (B, ...) from the generator; for a conditional critic, a list of samples and conditions.
        real: (B, ...) from the data, or a list as for `fake`. Only the role `critic` uses it.
        role: Network that learns: `generator`, with the loss `mean fake`, or `critic`, with the loss
            `mean max(0, 1 + real) + mean max(0, 1 - fake)`.
        noise: Upper bound of the uniform noise, from 0, that is added to every floating-point input of the critic.
            0: no noise.

    Raises:
        ConfigError: The role is `critic`, and `real` is not given.
    """
    fake_logits = [-part for part in logits_of(network, fake, noise=noise)]
    if role == "generator":
        return total([generator_hinge(part) for part in fake_logits])
    if real is None:
        raise ConfigError("stylegan2_divergence: role critic needs `real`")
    real_logits = [-part for part in logits_of(network, real, noise=noise)]
    return total([discriminator_hinge(r, f) for r, f in zip(real_logits, fake_logits, strict=True)])
