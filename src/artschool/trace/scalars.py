"""Losses over scalars that other components compute: what these are a mean over is not known."""

from __future__ import annotations

from collections.abc import Mapping

from artschool.config.mean_over import mean_over
from artschool.config.structure import Component, Config
from artschool.registry.mean_over import MeanOver
from artschool.trace.keys import TracedKey


def notes_of_scalars(config: Config, keys: Mapping[str, TracedKey], world_size: int) -> list[str]:
    """A note for each loss whose only inputs are scalars, if batches are divided.

    A scalar that a network or injector computes may be a mean over other things than samples, such as places.

    Args:
        world_size: The number of processes that share a batch.
    """
    if config.sections.train.max_parts == 1 and world_size == 1:
        return []
    losses = [loss for step in config.steps.values() for loss in step.losses.values()]
    return [_note(loss, scalar) for loss in losses if (scalar := _only_scalar(loss, keys)) is not None]


def _only_scalar(loss: Component, keys: Mapping[str, TracedKey]) -> TracedKey | None:
    if mean_over(loss) is not MeanOver.SAMPLES:
        return None
    read = [keys.get(use.name) for use in loss.inputs]
    if any(key is not None and ".losses." in key.writer for key in read):
        return None  # The value of a loss is weighted by what it is a mean over.
    return next((key for key in read if key is not None and all(other and other.scalar for other in read)), None)


def _note(loss: Component, key: TracedKey) -> str:
    return (
        f"{loss.node.place}: {loss.path}: {key.name!r} is one number for a whole part of a batch; parts are weighted "
        f"by their samples, which is wrong if it is a mean over other things, such as the places of a mask. Fix: let "
        f"{key.writer} return a value for each sample, or register a loss with `count`"
    )
