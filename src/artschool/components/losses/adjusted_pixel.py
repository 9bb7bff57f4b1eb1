"""Pixel distance to real images in another range of values."""

from torch import Tensor

from artschool.components.losses.criteria import CRITERIA, Criterion
from artschool.components.precision import at_least_float32
from artschool.registry import ComponentRole, losses
from artschool.registry.ranges import Known, Ranges
from artschool.registry.signature import Context


def _adjusted(known: Known) -> Ranges:
    real, scale, offset = known.keys.get("real"), known.options["real_scale"], known.options["real_offset"]
    ends = [end * scale + offset for end in real] if real else []
    return {"fake": (min(ends), max(ends)) if ends else None}


@losses.register(roles=ComponentRole.MINIMIZED, mean_over="samples", values=_adjusted)
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
    """Distance between `fake` and `real * real_scale + real_offset`.

    Args:
        fake: Any shape.
        real: The same shape.
        criterion: Distance: `l1` (mean absolute difference), `l2` (mean squared difference) or `cosine` (1 - cosine
            similarity).
        real_scale: Factor of `real`.
        real_offset: Number to add to the scaled `real`, in units of fake.
        log_statistics: Whether to log the mean and the standard deviation over the batch of fake and of the adjusted
            real, as `fake_mean`, `fake_std`, `real_mean` and `real_std`.
        context: Records the logged values.

    Raises:
        ConfigError: The shapes differ.
    """
    real = at_least_float32(real) * real_scale + real_offset
    if log_statistics:
        for name, values in (("fake", at_least_float32(fake.detach())), ("real", real.detach())):
            context.log(f"{name}_mean", values.mean())
            context.log(f"{name}_std", values.std())
    return CRITERIA[criterion](fake, real)
