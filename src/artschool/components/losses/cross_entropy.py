"""Cross entropy of predicted classes."""

from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from artschool.components.losses.shapes import check_equal
from artschool.components.precision import at_least_float32
from artschool.errors import ConfigError
from artschool.registry import ComponentRole, losses
from artschool.registry.ranges import Known, Ranges

IGNORED = -100
"""The label that torch leaves out of the mean."""


def _mean_over(mask: str | None, kind: str) -> str:
    return "samples" if mask is None and kind != "ce" else "places"


def _places(labels: Tensor, mask: Tensor | None) -> Tensor:
    """The number of positions that the loss is a mean over, up to a factor that all batches share."""
    if mask is None:
        return (labels != IGNORED).sum()
    # A mask of one sample applies to all.
    return torch.count_nonzero(mask) * (len(labels) // len(mask))


def _probabilities(known: Known) -> Ranges:
    return {"labels": (0.0, 1.0)} if known.options["kind"] != "ce" else {}


@losses.register(
    roles={ComponentRole.TAKES_LOGITS, ComponentRole.MINIMIZED},
    mean_over=_mean_over,
    count=_places,
    values=_probabilities,
)
def cross_entropy(
    logits: Tensor,
    labels: Tensor,
    mask: Tensor | None = None,
    *,
    kind: Literal["ce", "bce", "soft", "soft_logits"] = "ce",
    class_dim: int = 1,
    resize_labels: bool = False,
) -> Tensor:
    """Mean cross entropy of logits and labels, computed in float32 or better.

    Args:
        logits: (B, C) or (B, C, ...), before softmax or sigmoid.
        labels: For `ce`, the class of each position: whole numbers in 0..C-1, in the shape of logits without
            `class_dim`. A mean without a mask leaves out positions whose label is -100. For `soft`, the probabilities
            of all classes, in the shape of logits. For `soft_logits`, these before softmax. For `bce`, independent
            probabilities in 0..1, in the shape of logits.
        mask: Mask of the positions to include, where it is not 0. Other positions contribute no value and no gradient.
            The loss is the mean over included positions, 0 if there is none. The mask has the dimensions of logits
            for `bce`, and those without `class_dim` otherwise; sizes of 1 broadcast. null: all positions.
        kind: Kind of labels: `ce` for classes, `bce` for independent binary labels, `soft` for class probabilities,
            `soft_logits` for their logits, such as those of a teacher.
        class_dim: Dimension of the classes in logits and in soft labels; -1 for (B, T, C).
        resize_labels: Whether to resize labels of kind `ce` (B, ...) to the size of logits (B, C, ...) by nearest
            neighbour.

    Raises:
        ConfigError: Labels of kind `ce` are not whole numbers, those of another kind differ from logits in shape, or
            the mask has the wrong number of dimensions.
    """
    if kind != "ce":
        check_equal("cross_entropy", logits=logits, labels=labels)
    logits = at_least_float32(logits)
    reduction = "mean" if mask is None else "none"
    if kind == "bce":
        loss = F.binary_cross_entropy_with_logits(logits, labels.to(logits.dtype), reduction=reduction)
    else:
        logits = logits.movedim(class_dim, 1)
        if kind == "ce":
            labels = _classes(labels, logits, resize=resize_labels)
        else:
            labels = at_least_float32(labels).movedim(class_dim, 1)
            labels = labels if kind == "soft" else labels.softmax(1)
        loss = F.cross_entropy(logits, labels, reduction=reduction)
    return loss if mask is None else _mean_where(loss, mask)


def _classes(labels: Tensor, logits: Tensor, *, resize: bool) -> Tensor:
    if labels.is_floating_point():
        raise ConfigError(
            f"cross_entropy: labels of kind ce must be whole numbers, got {labels.dtype}. "
            "Fix: use kind soft for probabilities"
        )
    if resize:
        labels = F.interpolate(labels.unsqueeze(1).double(), size=logits.shape[2:], mode="nearest").squeeze(1)
    return labels.long()


def _mean_where(loss: Tensor, mask: Tensor) -> Tensor:
    if mask.ndim != loss.ndim:
        raise ConfigError(
            f"cross_entropy: the mask must have {loss.ndim} dimensions, as positions of shape {tuple(loss.shape)}, "
            f"got shape {tuple(mask.shape)}"
        )
    kept = mask.bool().expand_as(loss)
    return loss.masked_fill(~kept, 0.0).sum() / kept.sum().clamp(min=1)
