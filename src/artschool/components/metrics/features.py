"""Losses over the features of a network that serve as metrics as they are: means over all samples."""

from artschool.components.losses.lpips import Lpips
from artschool.components.losses.style import style
from artschool.registry import ComponentRole, metrics

metrics.register("lpips", Lpips, roles=ComponentRole.LOWER_IS_BETTER)
metrics.register("style", style, roles=ComponentRole.LOWER_IS_BETTER)
