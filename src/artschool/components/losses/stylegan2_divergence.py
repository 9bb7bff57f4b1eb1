"""The hinge loss of DL-Art-School's StyleGAN2, whose critic is the other way round."""

from __future__ import annotations

from typing import Literal

from torch import Tensor

from artschool.components.losses.critic import Inputs, logits_of, total
from artschool.components.losses.gan_kinds import discriminator_hinge, generator_hinge
from artschool.errors import ConfigError
from artschool.registry import ComponentRole, losses
from artschool.registry.signature import Network, NotNegative


@losses.register(
    roles={ComponentRole.CRITIC_LOSS, ComponentRole.GENERATOR_LOSS, ComponentRole.TAKES_LOGITS, ComponentRole.MINIMIZED}
)
def stylegan2_divergence(
    network: Network,
    fake: Inputs,
    real: Inputs | None = None,
    *,
    role: Literal["generator", "critic"],
    noise: NotNegative = 0.0,
) -> Tensor:
    """Hinge loss of a critic whose logits are large for fakes: `generator_gan`, `discriminator_gan` with -logits.

    For networks that learnt this way; otherwise take those. `fake` keeps its gradient in both roles.

    Args:
        network: The critic: samples to logits of any shape, small for real; or to a list of such, which are summed.
        fake: (B, ...) from the generator; or a list, with what a conditional critic takes besides.
        real: (B, ...) from the data, or a list; for the critic alone.
        role: Who learns: the generator from `mean fake`, or the critic from
            `mean max(0, 1 + real) + mean max(0, 1 - fake)`.
        noise: Upper bound of uniform noise, from 0, added to everything floating that the critic sees.

    Raises:
        ConfigError: The critic learns without `real`.
    """
    fake_logits = [-part for part in logits_of(network, fake, noise=noise)]
    if role == "generator":
        return total([generator_hinge(part) for part in fake_logits])
    if real is None:
        raise ConfigError("stylegan2_divergence with role critic needs `real`")
    real_logits = [-part for part in logits_of(network, real, noise=noise)]
    return total([discriminator_hinge(r, f) for r, f in zip(real_logits, fake_logits, strict=True)])
