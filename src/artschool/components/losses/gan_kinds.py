"""The formulas of adversarial losses, on logits of any shape that are large for real samples."""

import torch
import torch.nn.functional as F
from torch import Tensor

SMALLEST_GAP = 1e-12


def generator_vanilla(fake: Tensor) -> Tensor:
    """`-mean log sigmoid(fake)`.

    Source: Goodfellow et al. 2014, arXiv:1406.2661, section 3, the non-saturating form.
    """
    return _cross_entropy(fake, 1.0)


def generator_saturating(fake: Tensor) -> Tensor:
    """`mean log(1 - sigmoid(fake))`, the generator's side of the minimax game; flat where the critic is confident.

    Source: Goodfellow et al. 2014, arXiv:1406.2661, eq. 1.
    """
    return -_cross_entropy(fake, 0.0)


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
    return (1 - real).relu().mean() + (1 + fake).relu().mean()


def generator_wgan(fake: Tensor) -> Tensor:
    """`-mean fake`.

    Source: Arjovsky et al. 2017, arXiv:1701.07875, algorithm 1.
    """
    return -fake.mean()


def discriminator_wgan(real: Tensor, fake: Tensor) -> Tensor:
    """`mean fake - mean real`, unbounded unless a penalty or constraint keeps the critic smooth.

    Source: Arjovsky et al. 2017, arXiv:1701.07875, algorithm 1.
    """
    return fake.mean() - real.mean()


def generator_ragan(real: Tensor, fake: Tensor) -> Tensor:
    """Make fakes look more real than the mean real sample, and real samples less real than the mean fake.

    `-mean log sigmoid(fake - mean real) - mean log sigmoid(mean fake - real)`.

    Source: Jolicoeur-Martineau 2018, arXiv:1807.00734, section 4.
    """
    return discriminator_ragan(real=fake, fake=real)


def discriminator_ragan(real: Tensor, fake: Tensor) -> Tensor:
    """Make real samples look more real than the mean fake, and fakes less real than the mean real sample.

    `-mean log sigmoid(real - mean fake) - mean log sigmoid(mean real - fake)`.

    Source: Jolicoeur-Martineau 2018, arXiv:1807.00734, section 4.
    """
    return discriminator_vanilla(real - fake.mean(), fake - real.mean())


def discriminator_max_spread(real: Tensor, fake: Tensor) -> Tensor:
    """Increase the distance between the mean logits of real samples and fakes, in either direction.

    `2 tanh(1 / (2 |mean real - mean fake|))`, from 2 for equal means towards 0 for distant ones. The gradient almost
    vanishes for gaps below 0.03.

    Source: DL-Art-School, where it is `max_spread`. No generator loss corresponds to it.
    """
    gap = (real.mean() - fake.mean()).abs().clamp(min=SMALLEST_GAP)
    return 2 * torch.tanh(0.5 / gap)


def _cross_entropy(logits: Tensor, label: float) -> Tensor:
    return F.binary_cross_entropy_with_logits(logits, torch.full_like(logits, label))
