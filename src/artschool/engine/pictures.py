"""Draws keys as images: those of training that `log.pictures` names, and the samples that an evaluation shows."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from artschool.config.report_sections import DrawnRange, DrawnSection, ImagesSection, PicturesSection
from artschool.engine.hooks import hooks
from artschool.engine.run_state import RunState
from artschool.media.grid import grid
from artschool.registry.ranges import shown
from artschool.steps.state import State

IMAGENET_MEAN, IMAGENET_DEVIATION = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
SLACK = 0.1
"""Distance from black and white, as a fraction of their difference, at which a value counts as outside."""
MOST_OUTSIDE = 0.1
"""Fraction of values outside of black and white above which a key is reported."""


def log_pictures(run: RunState, section: PicturesSection, state: State) -> None:
    """Pass the keys of `log.pictures` to the loggers, and call the `visual_dbg` hooks of the networks."""
    labels: Any = state.values.get(section.labels or "", ())
    texts = captions(labels[: section.most])
    for key in section.keys:
        values: Any = state.values.get(key)
        if isinstance(values, Tensor):
            images = as_images(values[: section.most], section, key)
            warn_once(run, "log.pictures", key, images, section.range_of(key))
            draw(run, key, images, texts)
    for _, hook in hooks(run.networks, "visual_dbg"):
        hook(run.iteration - 1, run.folder)


def draw(run: RunState, key: str, images: Tensor, texts: Sequence[str] = ()) -> None:
    """Pass images to the loggers. With texts, those are written below, and all images are one.

    Args:
        key: The key, after the name of an evaluation and a slash if it shows them.
        images: (B, 1 or 3, H, W) or (B, H, W), black at 0 and white at 1.
        texts: One for each sample, which may have several images. Empty: none.
    """
    if texts:
        sheet = grid(images, [text for text in texts for _ in range(len(images) // len(texts))])
        if sheet is None:
            return
        images = torch.from_numpy(sheet).permute(2, 0, 1).unsqueeze(0) / 255
    run.send("picture", key, run.iteration, images)


def captions(labels: Sequence[Any] | Tensor) -> list[str]:
    """The text of each label: a number, or text."""
    return [_caption(label) for label in labels]


def _caption(label: Any) -> str:
    if not isinstance(label, Tensor):
        return str(label)
    if label.numel() != 1:
        return ""
    return f"{label.item():.4g}" if label.is_floating_point() else str(int(label))


def warn_once(run: RunState, path: str, key: str, images: Tensor, drawn: DrawnRange) -> None:
    """Warn if many values of the first images of a key lie clearly outside of black and white."""
    name = f"{path}.{key}"
    if name in run.drawn or not run.loggers:
        return
    run.drawn.add(name)
    if not images.is_floating_point() or not images.numel():
        return
    outside = float(((images < -SLACK) | (images > 1 + SLACK)).float().mean())
    if outside > MOST_OUTSIDE:
        run.note(
            f"warning: {path}.keys: {outside:.0%} of the values of {key!r} are outside of the range "
            f"{drawn if isinstance(drawn, str) else shown(drawn)} and drawn as black or white. "
            "Fix: write the range of the values as `range`, or `range: auto`"
        )


def same_size(images: Sequence[Tensor]) -> Tensor:
    """Join images (B, ..., H, W) of several sizes. Smaller ones get white at their right and below."""
    height, width = (max(image.shape[side] for image in images) for side in (-2, -1))
    sides = [(0, width - image.shape[-1], 0, height - image.shape[-2]) for image in images]
    return torch.cat([F.pad(image, side, value=1.0) for image, side in zip(images, sides, strict=True)])


def as_images(values: Tensor, section: ImagesSection, key: str = "") -> Tensor:
    """Scale values so that black is 0 and white is 1, and select frames of videos.

    Args:
        values: (B, C, H, W), (B, H, W), or (B, T, C, H, W), of which the frames of `section.frames` are selected.

    Returns:
        (B, C, H, W) or (B, H, W). Values outside of the range of the section are outside of 0..1.
    """
    if values.dim() == 5:
        frames = [frame for frame in section.frames if frame < values.shape[1]]
        values = values[:, frames].flatten(0, 1)
    return scaled(values, section, key)


def scaled(values: Tensor, section: DrawnSection, key: str) -> Tensor:
    """Scale images or sequences (..., H, W) so that black is 0 and white is 1. Whole numbers stay as they are."""
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
