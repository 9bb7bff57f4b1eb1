"""Adversarial losses: a critic learns to distinguish real samples from fakes, a generator to mislead it."""

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
from artschool.registry.signature import Context, Network, NotNegativeScheduled

GeneratorKind = Literal["vanilla", "saturating", "lsgan", "hinge", "wgan", "ragan"]
DiscriminatorKind = Literal["vanilla", "lsgan", "hinge", "wgan", "ragan", "max_spread"]
RELATIVE = ("ragan", "max_spread")
"""Kinds in which only differences of logits are meaningful."""


def _mean_over(kind: str, min_loss: float | None) -> str:
    """What a loss is a mean over: a floor and the kinds that compare means apply to a batch as a whole."""
    return "batch" if kind in RELATIVE or min_loss is not None else "samples"


@losses.register(
    roles={ComponentRole.GENERATOR_LOSS, ComponentRole.TAKES_LOGITS, ComponentRole.MINIMIZED}, mean_over=_mean_over
)
def generator_gan(
    network: Network | None,
    fake: Inputs,
    real: Inputs | None = None,
    *,
    kind: GeneratorKind,
    noise: NotNegativeScheduled = 0.0,
    min_loss: float | None = None,
    detach_real: bool = True,
) -> Tensor:
    """Train a generator so that the critic takes its fakes for real samples.

    The critic is called on `fake` with gradients. It does not learn from them, because a step freezes the networks
    that it does not train. For a critic that returns a list of logits, the losses of its items are summed.

    Args:
        network: Critic: maps samples to logits of any shape, large for real samples, or to a list of logits. null:
            `fake` and `real` are the logits that an injector has computed, so that several losses share a call.
        fake: (B, ...) from the generator; for a conditional critic, a list of samples and conditions.
        real: (B, ...) from the data, or a list as for `fake`. Only `ragan` uses it.
        kind: Formula of the loss; the kind of the critic's loss should match. `saturating` is the minimax form for a
            `vanilla` critic.
        noise: Upper bound of the uniform noise, from 0, that is added to every floating-point input of the critic.
            0: no noise.
        min_loss: Value of the loss below which the generator gets no gradient, so that the critic can catch up.
            null: no limit.
        detach_real: Whether to stop gradients at `real`. It matters only if a trained network computes `real`.

    Raises:
        ConfigError: The kind is `ragan`, and `real` is not given.
    """
    fake_logits = logits_of(network, fake, noise=noise)
    if kind != "ragan":
        return stopped_below(min_loss, total([_GENERATOR_LOSSES[kind](part) for part in fake_logits]))
    if real is None:
        raise ConfigError("generator_gan: kind ragan compares fakes with real samples. Fix: give `real`")
    with torch.set_grad_enabled(torch.is_grad_enabled() and not detach_real):
        real_logits = logits_of(network, real, noise=noise)
    pairs = zip(real_logits, fake_logits, strict=True)
    return stopped_below(min_loss, total([kinds.generator_ragan(*pair) for pair in pairs]))


@losses.register(
    roles={ComponentRole.CRITIC_LOSS, ComponentRole.TAKES_LOGITS, ComponentRole.MINIMIZED}, mean_over=_mean_over
)
def discriminator_gan(
    network: Network | None,
    fake: Inputs,
    real: Inputs,
    *,
    kind: DiscriminatorKind,
    noise: NotNegativeScheduled = 0.0,
    min_loss: float | None = None,
    context: Context,
) -> Tensor:
    """Train a critic to distinguish real samples from fakes: the sum of a term for real samples and one for fakes.

    `fake` is detached, so the generator does not learn from this loss. Logs `d_real` and `d_fake`, the means of the
    logits. The kinds `ragan` and `max_spread` log `d_fake_diff` instead, the mean of fakes minus that of real samples.
    For a critic that returns a list of logits, the losses of its items are summed.

    Args:
        network: Critic: maps samples to logits of any shape, large for real samples, or to a list of logits. null:
            `fake` and `real` are the logits that an injector has computed, so that several losses share a call.
        fake: (B, ...) from the generator; for a conditional critic, a list of samples and conditions.
        real: (B, ...) from the data; for a conditional critic, a list of samples and conditions.
        kind: Formula of the loss; the kind of the generator's loss should match.
        noise: Upper bound of the uniform noise, from 0, that is added to every floating-point input of the critic.
            0: no noise.
        min_loss: Value of the loss below which the critic gets no gradient, so that the generator can catch up.
            null: no limit.
        context: Records the logged values.
    """
    real_logits = logits_of(network, real, noise=noise)
    fake_logits = logits_of(network, fake if network is None else detached(fake), noise=noise)
    d_real, d_fake = (_mean_of_all(logits) for logits in (real_logits, fake_logits))
    logged = {"d_fake_diff": d_fake - d_real} if kind in RELATIVE else {"d_real": d_real, "d_fake": d_fake}
    for name, value in logged.items():
        context.log(name, value)
    pairs = zip(real_logits, fake_logits, strict=True)
    return stopped_below(min_loss, total([_DISCRIMINATOR_LOSSES[kind](*pair) for pair in pairs]))


def stopped_below(floor: float | None, loss: Tensor) -> Tensor:
    """The loss, without a gradient if its mean over all processes is below `floor`.

    Each micro-batch is decided separately, on the device and without synchronization. Gradients are zero rather than
    missing, so an optimizer with momentum still moves the parameters a little.
    """
    if floor is None or not loss.requires_grad:
        return loss  # No communication where other processes may not call this loss, as in evaluations.
    return torch.where(ranks.mean(loss.detach()) < floor, loss.detach(), loss)


def _mean_of_all(logits: list[Tensor]) -> Tensor:
    means = [part.detach().mean() for part in logits]
    return means[0] if len(means) == 1 else total(means) / len(means)


_GENERATOR_LOSSES: dict[str, Callable[[Tensor], Tensor]] = {
    "vanilla": kinds.generator_vanilla,
    "saturating": kinds.generator_saturating,
    "lsgan": kinds.generator_lsgan,
    "hinge": kinds.generator_hinge,
    "wgan": kinds.generator_wgan,
}
_DISCRIMINATOR_LOSSES: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "vanilla": kinds.discriminator_vanilla,
    "lsgan": kinds.discriminator_lsgan,
    "hinge": kinds.discriminator_hinge,
    "wgan": kinds.discriminator_wgan,
    "ragan": kinds.discriminator_ragan,
    "max_spread": kinds.discriminator_max_spread,
}
