"""Train a student on the predictions of a teacher."""

import torch.nn.functional as F
from torch import Tensor

from artschool.components.losses.shapes import pair
from artschool.registry import ComponentRole, losses
from artschool.registry.signature import PositiveScheduled


@losses.register(roles={ComponentRole.TAKES_LOGITS, ComponentRole.MINIMIZED}, mean_over="samples")
def distillation(
    teacher: Tensor, student: Tensor, *, temperature: PositiveScheduled = 1.0, class_dim: int = 1
) -> Tensor:
    """Divergence of the student's class probabilities from the teacher's, mean over samples.

    `sum p log(p / q) / B` with p = softmax(teacher / temperature) and q = softmax(student / temperature), summed over
    classes and positions. The loss is not multiplied by temperature squared; include the factor in `weight` if
    needed. A teacher that requires gradients gets them too.

    Args:
        teacher: (B, C) or (B, C, ...) logits.
        student: Logits of the same shape.
        temperature: Divisor of the logits. Larger values give more weight to small probabilities.
        class_dim: Dimension of the classes.

    Raises:
        ConfigError: The shapes differ.

    Source: Hinton et al. 2015, arXiv:1503.02531, section 2.
    """
    student, teacher = (
        logits.movedim(class_dim, -1) / temperature for logits in pair("distillation", student, teacher)
    )
    return F.kl_div(F.log_softmax(student, dim=-1), F.softmax(teacher, dim=-1), reduction="batchmean")
