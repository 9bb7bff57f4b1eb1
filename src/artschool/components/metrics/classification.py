"""How often predicted classes are right."""

from torch import Tensor

from artschool.errors import ConfigError
from artschool.registry import ComponentRole, metrics


@metrics.register(roles=ComponentRole.HIGHER_IS_BETTER)
def accuracy(logits: Tensor, labels: Tensor, *, class_dim: int = 1) -> Tensor:
    """Share of places whose largest logit is that of the right class, for each sample.

    Args:
        logits: (B, C) or (B, C, ...).
        labels: Whole numbers in 0..C-1, in the shape of logits without `class_dim`.
        class_dim: Where logits have their classes.

    Returns:
        (B,) in 0..1, higher is better.

    Raises:
        ConfigError: The labels have another shape.
    """
    found = logits.argmax(class_dim)
    # Broadcasting (B, 1) against (B,) would compare every sample with every other.
    if labels.shape != found.shape:
        raise ConfigError(
            f"accuracy of logits {tuple(logits.shape)} takes labels {tuple(found.shape)}, not {tuple(labels.shape)}"
        )
    right = (found == labels).float()
    return right.flatten(1).mean(1) if right.dim() > 1 else right
