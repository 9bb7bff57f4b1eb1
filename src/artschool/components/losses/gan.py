"""Adversarial losses: a critic tells real from fake, a generator learns to mislead it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import torch
from torch import Tensor

from artschool import ranks
from artschool.components.losses import gan_kinds as kinds
from artschool.components.losses.critic import Inputs, detached, logits_of, total
from artschool.errors import ConfigError
from artschool.registry import ComponentRole, losses
from artschool.registry.signature import Context, Network, NotNegative

GeneratorKind = Literal["vanilla", "saturating", "lsgan", "hinge", "wgan", "ragan"]
DiscriminatorKind = Literal["vanilla", "lsgan", "hinge", "wgan", "ragan", "max_spread"]
RELATIVE = ("ragan", "max_spread")
"""Kinds whose logits mean something only in comparison."""


@losses.register(roles={ComponentRole.GENERATOR_LOSS, ComponentRole.TAKES_LOGITS, ComponentRole.MINIMIZED})
def generator_gan(
    network: Network,
    fake: Inputs,
    real: Inputs | None = None,
    *,
    kind: GeneratorKind,
    noise: NotNegative = 0.0,
    min_loss: float | None = None,
    detach_real: bool = True,
) -> Tensor:
    """Make the critic take fakes for real.

    The critic is called on `fake` with gradients; that it does not learn from them is up to the step, which freezes
    what it does not train. A critic that returns a list of logits counts as several, whose losses are summed.

    Args:
        network: The critic: samples to logits of any shape, large for real, or to a list of such.
        fake: (B, ...) from the generator; or a list, with what a conditional critic takes besides.
        real: (B, ...) from the data, or a list; read by ragan alone.
        kind: The formula, one function of `gan_kinds` for each; `saturating` is the generator's of a vanilla critic
            in the form of the minimax game.
        noise: Upper bound of uniform noise, from 0, added to everything floating that the critic sees.
        min_loss: Below this there is no gradient, so that the critic can catch up; see `stopped_below`.
        detach_real: Whether gradients stop at `real`; they matter where a network that is trained made it.

    Raises:
        ConfigError: ragan without `real`.
    """
    fake_logits = logits_of(network, fake, noise=noise)
    if kind != "ragan":
        return stopped_below(min_loss, total([_GENERATOR[kind](part) for part in fake_logits]))
    if real is None:
        raise ConfigError("generator_gan of kind ragan compares fakes with real samples; give it `real`")
    with torch.set_grad_enabled(torch.is_grad_enabled() and not detach_real):
        real_logits = logits_of(network, real, noise=noise)
    pairs = zip(real_logits, fake_logits, strict=True)
    return stopped_below(min_loss, total([kinds.generator_ragan(*pair) for pair in pairs]))


@losses.register(roles={ComponentRole.CRITIC_LOSS, ComponentRole.TAKES_LOGITS, ComponentRole.MINIMIZED})
def discriminator_gan(
    network: Network,
    fake: Inputs,
    real: Inputs,
    *,
    kind: DiscriminatorKind,
    noise: NotNegative = 0.0,
    min_loss: float | None = None,
    context: Context,
) -> Tensor:
    """Tell real from fake: the sum, not the mean, of a term for each.

    `fake` is detached, so the generator learns nothing from this loss. Logs `d_real` and `d_fake`, the means of the
    logits; for kinds that compare, `d_fake_diff`, the mean of fakes less that of real samples. A critic that returns
    a list of logits counts as several, whose losses are summed.

    Args:
        network: The critic: samples to logits of any shape, large for real, or to a list of such.
        fake: (B, ...) from the generator; or a list, with what a conditional critic takes besides.
        real: (B, ...) from the data, or a list.
        kind: The formula, one function of `gan_kinds` for each.
        noise: Upper bound of uniform noise, from 0, added to everything floating that the critic sees.
        min_loss: Below this there is no gradient, so that the generator can catch up; see `stopped_below`.
        context: Takes what is logged.
    """
    real_logits = logits_of(network, real, noise=noise)
    fake_logits = logits_of(network, detached(fake), noise=noise)
    d_real, d_fake = (_mean_of_all(logits) for logits in (real_logits, fake_logits))
    logged = {"d_fake_diff": d_fake - d_real} if kind in RELATIVE else {"d_real": d_real, "d_fake": d_fake}
    for name, value in logged.items():
        context.log(name, value)
    pairs = zip(real_logits, fake_logits, strict=True)
    return stopped_below(min_loss, total([_DISCRIMINATOR[kind](*pair) for pair in pairs]))


def stopped_below(floor: float | None, loss: Tensor) -> Tensor:
    """The loss, without a gradient where its mean over all processes is below `floor`.

    The device decides and nothing waits for it, each micro-batch for itself. Gradients are then zero rather than
    missing, so an optimizer with momentum still moves a little.
    """
    if floor is None or not loss.requires_grad:
        return loss  # Nothing is asked of the other processes where they may have nothing to do, as in evaluations.
    return torch.where(ranks.mean(loss.detach()) < floor, loss.detach(), loss)


def _mean_of_all(logits: list[Tensor]) -> Tensor:
    return total([part.detach().mean() for part in logits]) / len(logits)


_GENERATOR: dict[str, Callable[[Tensor], Tensor]] = {
    "vanilla": kinds.generator_vanilla,
    "saturating": kinds.generator_saturating,
    "lsgan": kinds.generator_lsgan,
    "hinge": kinds.generator_hinge,
    "wgan": kinds.generator_wgan,
}
_DISCRIMINATOR: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "vanilla": kinds.discriminator_vanilla,
    "lsgan": kinds.discriminator_lsgan,
    "hinge": kinds.discriminator_hinge,
    "wgan": kinds.discriminator_wgan,
    "ragan": kinds.discriminator_ragan,
    "max_spread": kinds.discriminator_max_spread,
}
