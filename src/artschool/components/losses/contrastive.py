"""Bring two views of one sample closer to each other than to other samples."""

import torch
import torch.nn.functional as F
from torch import Tensor

from artschool.components.losses.shapes import pair
from artschool.components.precision import without_autocast
from artschool.errors import ConfigError
from artschool.registry import ComponentRole, losses
from artschool.registry.mean_over import MeanOver
from artschool.registry.signature import PositiveScheduled


def _compared_with(negatives: str | None) -> MeanOver:
    """What the loss is a mean over: without other negatives, samples are compared with each other."""
    return MeanOver.BATCH if negatives is None else MeanOver.SAMPLES


@losses.register(roles=ComponentRole.MINIMIZED, mean_over=_compared_with)
def info_nce(
    x: Tensor,
    y: Tensor,
    *,
    negatives: Tensor | None = None,
    temperature: PositiveScheduled = 0.1,
    symmetric: bool = False,
) -> Tensor:
    """Find for each row of x its partner among the rows of y: `-mean log softmax(cos(x_i, y_j) / temperature)_ii`.

    The negatives are the other samples in the micro-batch of this process. `accumulate` and several processes reduce
    their number. With `negatives`, they are its rows instead, such as those of a `queue` (MoCo, arXiv:1911.05722).

    Args:
        x: (B, C) embeddings.
        y: (B, C) embeddings; row i is the partner of row i of x.
        negatives: (K, C) embeddings with which every row of x is compared. null: the other rows of y.
        temperature: Divisor of the cosine similarities. Smaller values give more weight to the nearest negatives.
        symmetric: Whether to average the loss with the one from y to x, as in CLIP (arXiv:2103.00020, figure 3).

    Raises:
        ConfigError: The shapes differ, or `symmetric` is true with `negatives`.

    Source: van den Oord et al. 2018, arXiv:1807.03748, eq. 4.
    """
    x, y = pair("info_nce", x, y)
    if negatives is not None:
        if symmetric:
            raise ConfigError("info_nce: `symmetric` has no meaning with `negatives`. Fix: remove one of them")
        logits = torch.cat([F.cosine_similarity(x, y)[:, None], _similarities(x, negatives)], 1) / temperature
        return F.cross_entropy(logits, logits.new_zeros(len(x), dtype=torch.int64))
    logits = _similarities(x, y) / temperature
    partners = torch.arange(len(x), device=x.device)
    loss = F.cross_entropy(logits, partners)
    return (loss + F.cross_entropy(logits.mT, partners)) / 2 if symmetric else loss


@losses.register(roles=ComponentRole.MINIMIZED, mean_over="batch")
def nt_xent(x: Tensor, y: Tensor, *, temperature: PositiveScheduled = 0.5) -> Tensor:
    """Find for each of the 2 B views its partner among all other views of both sides: SimCLR's loss.

    The negatives are the other samples in the micro-batch of this process. `accumulate` and several processes reduce
    their number.

    Args:
        x: (B, C) embeddings of one view.
        y: (B, C) embeddings of the other view; row i is the partner of row i of x.
        temperature: Divisor of the cosine similarities. Smaller values give more weight to the nearest negatives.

    Raises:
        ConfigError: The shapes differ.

    Source: Chen et al. 2020, arXiv:2002.05709, eq. 1.
    """
    x, y = pair("nt_xent", x, y)
    views = torch.cat([x, y])
    logits = _similarities(views, views) / temperature
    identity = torch.eye(len(views), dtype=torch.bool, device=views.device)
    partners = torch.arange(len(views), device=views.device).roll(len(x))
    return F.cross_entropy(logits.masked_fill(identity, -torch.inf), partners)


def _similarities(x: Tensor, y: Tensor) -> Tensor:
    with without_autocast(x):
        return F.normalize(x, dim=1) @ F.normalize(y, dim=1).mT
