"""Logs keys of a batch as images."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from artschool.config.report_sections import DrawnRange, PicturesSection
from artschool.engine.hooks import hooks
from artschool.engine.run_state import RunState
from artschool.registry.ranges import shown
from artschool.steps.state import State

IMAGENET_MEAN, IMAGENET_DEVIATION = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


SLACK = 0.1
"""Distance from black and white, as a fraction of their difference, at which a value counts as outside."""
MOST_OUTSIDE = 0.1
"""Fraction of values outside of black and white above which a key is reported."""


def log_pictures(run: RunState, section: PicturesSection, state: State) -> None:
    """Pass the keys of `log.pictures` to the loggers, and call the `visual_dbg` hooks of the networks."""
    for key in section.keys:
        values: Any = state.values.get(key)
        if isinstance(values, Tensor):
            images = as_images(values[: section.most], section, key)
            _warn_once(run, key, images, section.range_of(key))
            for logger in run.loggers:
                logger.picture(key, run.iteration, images)
    for _, hook in hooks(run.networks, "visual_dbg"):
        hook(run.iteration - 1, run.folder)


def _warn_once(run: RunState, key: str, images: Tensor, drawn: DrawnRange) -> None:
    """Warn if many values of the first images of a key lie clearly outside of black and white."""
    if key in run.drawn or not run.loggers:
        return
    run.drawn.add(key)
    if not images.is_floating_point() or not images.numel():
        return
    outside = float(((images < -SLACK) | (images > 1 + SLACK)).float().mean())
    if outside > MOST_OUTSIDE:
        run.note(
            f"warning: log.pictures.keys: {outside:.0%} of the values of {key!r} are outside of the range "
            f"{drawn if isinstance(drawn, str) else shown(drawn)} and drawn as black or white. "
            "Fix: write the range of the values as `range`, or `range: auto`"
        )


def as_images(values: Tensor, section: PicturesSection, key: str = "") -> Tensor:
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
    drawn = section.range_of(key)
    if drawn == "imagenet":
        mean, deviation = (torch.tensor(x).view(3, 1, 1).to(values) for x in (IMAGENET_MEAN, IMAGENET_DEVIATION))
        return values * deviation + mean if values.shape[-3] == 3 else values
    if drawn == "auto":
        low, high = values.amin(), values.amax()
    else:
        low, high = (torch.tensor(bound).to(values) for bound in drawn)
    return (values - low) / (high - low).clamp(min=torch.finfo(values.dtype).tiny)
