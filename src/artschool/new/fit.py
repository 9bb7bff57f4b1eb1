"""The values of a template's placeholders, such that the file fits the data and the machine."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from artschool.errors import DataError
from artschool.new.look import Images, Recordings
from artschool.new.templates import Template

MOST_HELD_OUT = 1000
FEWEST = 4
MEDIUM = 64
"""Side of images for which a template's batch is meant, in pixels."""
CODES = {8: 64, 16: 128}
"""Sizes of codebooks by the side of images; 512 for larger ones."""
LONG, SHORT = 50_000, 2_000
"""Iterations with data of the user, and without."""


def settings_of(template: Template, name: str, path: Path | None, found: Images | Recordings | None) -> dict[str, Any]:
    """Choose sizes, batch and lengths.

    Args:
        template: The template.
        name: Name of the run.
        path: Folder of the data. None: data that comes with a package, or is computed.
        found: What is in the folder.

    Raises:
        DataError: The data is of another kind than the template needs, too little, or the images are too small.
    """
    demo = path is None or found is None
    iterations = SHORT if demo else LONG
    settings: dict[str, Any] = {
        "name": name,
        "demo": demo,
        "path": str(path),
        "found": f"Trained on {found}" if found is not None else "It trains on data that comes with it.",
        "iterations": iterations,
        "first": iterations // 2 if template.name != "latent_diffusion" else 2 * iterations // 5,
        "every": iterations // 10 if demo else 2500,
        "log_every": 50 if demo else 100,
        "precision": "bf16" if not demo and _has_gpu() else "fp32",
        "workers": min(4, os.cpu_count() or 1),
        "try": _short(template, demo=demo),
    }
    if found is not None:
        settings |= _divided(template, found)
    if template.data == "recordings":
        return settings | _sound(template, found, settings)
    return settings | _pictures(template, found, settings)


def run_name(folder: Path) -> str:
    """A name of a run from that of its folder."""
    name = re.sub(r"[^A-Za-z0-9_.-]+", "_", folder.resolve().name).strip("._-")
    return name or "run"


def _short(template: Template, *, demo: bool) -> str:
    return template.try_ if demo else f"{template.try_} data.train.workers=0"


def _has_gpu() -> bool:
    import torch

    return torch.cuda.is_available() and torch.cuda.is_bf16_supported()


def _divided(template: Template, found: Images | Recordings) -> dict[str, Any]:
    """How many files are held out, and how many are in a batch."""
    expected = "images" if template.data == "images" else "recordings"
    if template.data != type(found).__name__.lower():
        raise DataError(f"template {template.name} needs {expected}, got {found} Fix: name another folder or template")
    if found.count < FEWEST:
        raise DataError(f"template {template.name} needs {FEWEST} {expected} or more, got {found.count}")
    held_out = max(2, min(MOST_HELD_OUT, found.count // 10))
    fraction = float(f"{held_out / found.count:.2g}")
    usual = template.batch
    while usual > 2 and usual > (found.count - held_out) // 2:
        usual //= 2
    return {"held_out": fraction, "batch": usual, "max_bad": max(10, 2 * found.damaged)}


def _pictures(template: Template, found: Images | Recordings | None, settings: Mapping[str, Any]) -> dict[str, Any]:
    if not isinstance(found, Images):
        patches = template.name == "super_resolution"
        size, batch = (64, template.batch) if patches else (8, min(template.batch, 64))
        classes, channels = [str(digit) for digit in range(10)], 1
    else:
        size = _side(template, found)
        batch = max(2, settings["batch"] * MEDIUM**2 // max(size, MEDIUM) ** 2)
        classes = list(found.classes) if template.labels else []
        channels = 1 if found.gray and classes else 3
    labels = bool(classes) and template.labels
    halvings = 1 if size <= 16 else 3 if size >= 192 else 2
    return {
        "size": size,
        "batch": batch,
        "labels": labels,
        "classes": classes if labels else [],
        "channels": channels,
        "image": "image" if labels or found is None else "hq",
        "augment": "",
        "scale": 2,
        "halvings": halvings,
        "codes": CODES.get(size, 512),
        "r1": 0.1 if size <= 16 else 1.0,
    }


def _side(template: Template, found: Images) -> int:
    """The largest supported side that fits into the smallest image."""
    name, width, height = found.smallest
    fitting = [size for size in template.sizes if size <= min(width, height)]
    if not fitting:
        least = min(template.sizes)
        raise DataError(
            f"template {template.name} needs images of at least {least} x {least} pixels, got {width} x {height} "
            f"({name}). Fix: remove or enlarge the images that are smaller"
        )
    return max(fitting)


def _sound(template: Template, found: Images | Recordings | None, settings: Mapping[str, Any]) -> dict[str, Any]:
    rate = found.rates.most_common(1)[0][0] if isinstance(found, Recordings) else 8000
    fast = rate > 12000
    return {
        "rate": rate,
        "hop": 256 if fast else 128,
        "bands": 80 if fast else 40,
        "factors": [8, 8, 4] if fast else [8, 4, 4],
        "length": 8192 if fast else 4096,
        "batch": settings.get("batch", 8),
    }
