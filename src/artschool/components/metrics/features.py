"""Losses over the features of a network, registered as metrics: means over all samples."""

from artschool.components.losses.lpips import Lpips
from artschool.components.losses.style import style
from artschool.registry import ComponentRole, metrics
from artschool.registry.ranges import input_of

_OF_NETWORK = input_of("network", "fake", "real")

metrics.register("lpips", Lpips, roles=ComponentRole.LOWER_IS_BETTER, values=_OF_NETWORK)
metrics.register("style", style, roles=ComponentRole.LOWER_IS_BETTER, values=_OF_NETWORK)
