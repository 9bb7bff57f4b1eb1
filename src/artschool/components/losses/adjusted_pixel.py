"""Pixel distance to real images that have another range."""

from torch import Tensor

from artschool.components.losses.criteria import CRITERIA, Criterion
from artschool.components.losses.precision import at_least_float32
from artschool.registry import ComponentRole, losses
from artschool.registry.signature import Context


@losses.register(roles=ComponentRole.MINIMIZED)
def adjusted_pixel(
    fake: Tensor,
    real: Tensor,
    *,
    criterion: Criterion = "l1",
    real_scale: float = 1.0,
    real_offset: float = 0.0,
    log_statistics: bool = False,
    context: Context,
) -> Tensor:
    """Distance of `fake` and `real * real_scale + real_offset`.

    Args:
        fake: Any shape.
        real: The same shape.
        criterion: Which distance is taken.
        real_scale: What `real` is multiplied by.
        real_offset: What is added to `real` once it is scaled, in units of fake.
        log_statistics: Whether to log the mean and the standard deviation of both over the batch, as `fake_mean`,
            `fake_std`, `real_mean` and `real_std`; real as it is compared.
        context: Takes what is logged.

    Raises:
        ConfigError: The shapes differ.
    """
    real = at_least_float32(real) * real_scale + real_offset
    if log_statistics:
        for name, values in (("fake", at_least_float32(fake.detach())), ("real", real.detach())):
            context.log(f"{name}_mean", values.mean())
            context.log(f"{name}_std", values.std())
    return CRITERIA[criterion](fake, real)
