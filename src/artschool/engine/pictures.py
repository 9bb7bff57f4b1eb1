"""Keys of a batch as pictures for the loggers."""

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
    """Give the chosen keys of a micro-batch to the loggers, and let networks draw what they like."""
    for key in section.keys:
        values: Any = state.values.get(key)
        if isinstance(values, Tensor):
            images = as_images(values[: section.most], section)
            for logger in run.loggers:
                logger.picture(key, run.iteration, images)
    for _, hook in hooks(run.networks, "visual_dbg"):
        hook(run.iteration - 1, run.folder)


def as_images(values: Tensor, section: PicturesSection) -> Tensor:
    """Choose frames and bring what is drawn black and white to 0 and 1.

    Args:
        values: (B, C, H, W), (B, H, W), or (B, T, C, H, W), whose frames follow each other in the result.

    Returns:
        (B, C, H, W) or (B, H, W); what is outside of the range is outside of 0..1.
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
