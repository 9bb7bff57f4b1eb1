"""Logs keys of a batch as images."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from artschool.config.sections import PicturesSection
from artschool.engine.hooks import hooks
from artschool.engine.run_state import RunState
from artschool.steps.state import State

IMAGENET_MEAN, IMAGENET_DEVIATION = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


def log_pictures(run: RunState, section: PicturesSection, state: State) -> None:
    """Pass the keys of `log.pictures` to the loggers, and call the `visual_dbg` hooks of the networks."""
    for key in section.keys:
        values: Any = state.values.get(key)
        if isinstance(values, Tensor):
            images = as_images(values[: section.most], section)
            for logger in run.loggers:
                logger.picture(key, run.iteration, images)
    for _, hook in hooks(run.networks, "visual_dbg"):
        hook(run.iteration - 1, run.folder)


def as_images(values: Tensor, section: PicturesSection) -> Tensor:
    """Scale values so that black is 0 and white is 1, and select frames of videos.

    Args:
        values: (B, C, H, W), (B, H, W), or (B, T, C, H, W), of which the frames of `section.frames` are selected.

    Returns:
        (B, C, H, W) or (B, H, W). Values outside of the range of the section are outside of 0..1.
    """
    if values.dim() == 5:
        frames = [frame for frame in section.frames if frame < values.shape[1]]
        values = values[:, frames].flatten(0, 1)
    if not values.is_floating_point():
        return values
    if section.range == "imagenet":
        mean, deviation = (torch.tensor(x).view(3, 1, 1).to(values) for x in (IMAGENET_MEAN, IMAGENET_DEVIATION))
        return values * deviation + mean if values.shape[-3] == 3 else values
    if section.range == "auto":
        low, high = values.amin(), values.amax()
    else:
        low, high = (torch.tensor(bound).to(values) for bound in section.range)
    return (values - low) / (high - low).clamp(min=torch.finfo(values.dtype).tiny)
