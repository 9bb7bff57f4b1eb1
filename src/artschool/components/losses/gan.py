"""Adversarial losses: a discriminator tells real from fake, a generator learns to mislead it."""

from collections.abc import Callable
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from artschool.components.losses.precision import at_least_float32
from artschool.errors import ConfigError
from artschool.registry import losses
from artschool.signature import Context, Network

Kind = Literal["vanilla", "lsgan", "hinge", "wgan", "ragan"]


@losses.register
def generator_gan(network: Network, fake: Tensor, real: Tensor | None = None, *, kind: Kind) -> Tensor:
    """Make the discriminator take fakes for real.

    The discriminator is called on `fake` with gradients; that it does not learn from them is up to the step,
    which freezes what it does not train.

    Args:
        network: The discriminator: samples to logits of any shape, large for real.
        fake: (B, ...) from the generator.
        real: (B, ...) from the data; read by ragan alone, and without gradients.
        kind: The formula, one function of this module for each.

    Raises:
        ConfigError: ragan without `real`.
    """
    fake_logits = at_least_float32(network(fake))
    if kind != "ragan":
        return _GENERATOR[kind](fake_logits)
    if real is None:
        raise ConfigError("generator_gan of kind ragan compares fakes with real samples; give it `real`")
    with torch.no_grad():
        real_logits = at_least_float32(network(real))
    return generator_ragan(real_logits, fake_logits)


@losses.register
def discriminator_gan(network: Network, fake: Tensor, real: Tensor, *, kind: Kind, context: Context) -> Tensor:
    """Tell real from fake: the sum, not the mean, of a term for each.

    `fake` is detached, so the generator learns nothing from this loss. Logs `d_real` and `d_fake`, the means
    of the logits.

    Args:
        network: The discriminator: samples to logits of any shape, large for real.
        fake: (B, ...) from the generator.
        real: (B, ...) from the data.
        kind: The formula, one function of this module for each.
        context: Takes what is logged.
    """
    real_logits = at_least_float32(network(real))
    fake_logits = at_least_float32(network(fake.detach()))
    context.log("d_real", real_logits.detach().mean())
    context.log("d_fake", fake_logits.detach().mean())
    return _DISCRIMINATOR[kind](real_logits, fake_logits)


def generator_vanilla(fake: Tensor) -> Tensor:
    """`-mean log sigmoid(fake)`.

    Source: Goodfellow et al. 2014, arXiv:1406.2661, section 3, the form that does not saturate.
    """
    return _cross_entropy(fake, 1.0)


def discriminator_vanilla(real: Tensor, fake: Tensor) -> Tensor:
    """`-mean log sigmoid(real) - mean log sigmoid(-fake)`.

    Source: Goodfellow et al. 2014, arXiv:1406.2661, eq. 1.
    """
    return _cross_entropy(real, 1.0) + _cross_entropy(fake, 0.0)


def generator_lsgan(fake: Tensor) -> Tensor:
    """`mean (fake - 1)^2`.

    Source: Mao et al. 2017, arXiv:1611.04076, section 3.2, without its factor 1/2.
    """
    return (fake - 1).square().mean()


def discriminator_lsgan(real: Tensor, fake: Tensor) -> Tensor:
    """`mean (real - 1)^2 + mean fake^2`.

    Source: Mao et al. 2017, arXiv:1611.04076, section 3.2, without its factor 1/2.
    """
    return (real - 1).square().mean() + fake.square().mean()


def generator_hinge(fake: Tensor) -> Tensor:
    """`-mean fake`.

    Source: Lim and Ye 2017, arXiv:1705.02894.
    """
    return -fake.mean()


def discriminator_hinge(real: Tensor, fake: Tensor) -> Tensor:
    """`mean max(0, 1 - real) + mean max(0, 1 + fake)`.

    Source: Lim and Ye 2017, arXiv:1705.02894.
    """
    return F.relu(1 - real).mean() + F.relu(1 + fake).mean()


def generator_wgan(fake: Tensor) -> Tensor:
    """`-mean fake`.

    Source: Arjovsky et al. 2017, arXiv:1701.07875, algorithm 1.
    """
    return -fake.mean()


def discriminator_wgan(real: Tensor, fake: Tensor) -> Tensor:
    """`mean fake - mean real`, unbounded unless something else keeps the discriminator smooth.

    Source: Arjovsky et al. 2017, arXiv:1701.07875, algorithm 1.
    """
    return fake.mean() - real.mean()


def generator_ragan(real: Tensor, fake: Tensor) -> Tensor:
    """Fakes look more real than the mean real sample, and real samples less than the mean fake.

    `-mean log sigmoid(fake - mean real) - mean log sigmoid(mean fake - real)`.

    Source: Jolicoeur-Martineau 2018, arXiv:1807.00734, section 4.
    """
    return discriminator_ragan(real=fake, fake=real)


def discriminator_ragan(real: Tensor, fake: Tensor) -> Tensor:
    """Real samples look more real than the mean fake, and fakes less than the mean real sample.

    `-mean log sigmoid(real - mean fake) - mean log sigmoid(mean real - fake)`.

    Source: Jolicoeur-Martineau 2018, arXiv:1807.00734, section 4.
    """
    return discriminator_vanilla(real - fake.mean(), fake - real.mean())


def _cross_entropy(logits: Tensor, label: float) -> Tensor:
    return F.binary_cross_entropy_with_logits(logits, torch.full_like(logits, label))


_GENERATOR: dict[str, Callable[[Tensor], Tensor]] = {
    "vanilla": generator_vanilla,
    "lsgan": generator_lsgan,
    "hinge": generator_hinge,
    "wgan": generator_wgan,
}
_DISCRIMINATOR: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "vanilla": discriminator_vanilla,
    "lsgan": discriminator_lsgan,
    "hinge": discriminator_hinge,
    "wgan": discriminator_wgan,
    "ragan": discriminator_ragan,
}
