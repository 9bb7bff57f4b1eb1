"""Accuracy of predicted classes."""

from torch import Tensor

from artschool.components.losses.cross_entropy import IGNORED
from artschool.errors import ConfigError
from artschool.registry import ComponentRole, metrics


@metrics.register(roles=ComponentRole.HIGHER_IS_BETTER)
def accuracy(logits: Tensor, labels: Tensor, *, class_dim: int = 1) -> Tensor:
    """Fraction of positions whose largest logit belongs to the correct class, for each sample.

    Args:
        logits: (B, C) or (B, C, ...).
        labels: Whole numbers in 0..C-1, in the shape of logits without `class_dim`. Positions whose label is -100 are
            left out.
        class_dim: Dimension of the classes in logits.

    Returns:
        (B,) in 0..1, higher is better. Samples without a label are left out.

    Raises:
        ConfigError: The labels have the wrong shape.
    """
    predicted = logits.argmax(class_dim)
    # Broadcasting (B, 1) against (B,) would compare every sample with every other.
    if labels.shape != predicted.shape:
        raise ConfigError(
            f"accuracy: expected labels of shape {tuple(predicted.shape)} for logits of shape {tuple(logits.shape)}, "
            f"got {tuple(labels.shape)}"
        )
    num_correct = (predicted == labels).float().reshape(len(labels), -1).sum(1)
    num_labels = (labels != IGNORED).reshape(len(labels), -1).sum(1)
    has_label = num_labels > 0
    return num_correct[has_label] / num_labels[has_label]
