"""HTML of a run or a model for notebooks: its networks, its newest images and a curve. Text is escaped."""

from __future__ import annotations

import base64
import math
from collections.abc import Iterable, Sequence
from html import escape
from pathlib import Path
from typing import NamedTuple

from artschool.paths import read_file
from artschool.show.folder import RunFolder
from artschool.show.log import HEAD, Curve, thinned
from artschool.show.media import TYPES, media
from artschool.wording.hidden import without_hidden

MOST_IMAGES, MOST_BYTES = 4, 500_000
"""Maximum number of images, and the largest size of one."""
WIDTH, HEIGHT, POINTS = 320, 70, 300
"""Size of a curve in pixels, and its number of points."""


class NetworkRow(NamedTuple):
    """A line about a network: its name, its class, its number of parameters, and how it is trained or averaged."""

    name: str
    kind: str
    parameters: int
    remark: str


def as_html(title: str, networks: Iterable[NetworkRow], folder: Path) -> str:
    """A table of networks, and what the run folder has of images and numbers, if it exists."""
    run = RunFolder(folder, folder.name)
    run.update()
    parts = [f"<strong>{escape(title)}</strong>", _table(networks), _curve(run), *_images(folder)]
    return without_hidden(f'<div style="line-height:1.4">{"".join(parts)}</div>')


def _table(networks: Iterable[NetworkRow]) -> str:
    cells = [(row.name, row.kind, f"{row.parameters:,} parameters", row.remark) for row in networks]
    rows = ["".join(f'<td style="text-align:left">{escape(cell)}</td>' for cell in row) for row in cells]
    return f"<table>{''.join(f'<tr>{row}</tr>' for row in rows)}</table>"


def _curve(run: RunFolder) -> str:
    """The number that matters most: the metric of the best checkpoint, a metric, or the first loss."""
    best = run.best()
    names = [
        *([best.name] if best is not None else []),
        *run.evaluations,
        *(name for name in run.log.curves if name.endswith("/total")),
        *run.log.curves,
    ]
    curves = ((name, _finite(run.log.curves[name])) for name in names if name not in HEAD)
    name, points = next(((name, points) for name, points in curves if len(points) > 1), ("", []))
    if not points:
        return ""
    (first, _), (last, value) = points[0], points[-1]
    low, high = min(y for _, y in points), max(y for _, y in points)
    width, height = max(last - first, 1), (high - low) or 1.0
    path = " ".join(f"{WIDTH * (x - first) / width:.1f},{HEIGHT * (high - y) / height:.1f}" for x, y in points)
    text = f"{name}: {value:.4g} after {last + 1:,} iterations (from {low:.4g} to {high:.4g})"
    return (
        f'<div>{escape(text)}<br><svg width="{WIDTH}" height="{HEIGHT}" viewBox="-2 -2 {WIDTH + 4} {HEIGHT + 4}">'
        f'<polyline points="{path}" fill="none" stroke="#3a7fb0" stroke-width="1.5"/></svg></div>'
    )


def _finite(curve: Curve) -> Sequence[tuple[int, float]]:
    return [(x, y) for x, y in zip(*thinned(curve, POINTS), strict=True) if math.isfinite(y)]


def _images(folder: Path) -> Iterable[str]:
    """The newest image of some groups."""
    newest = [(group, max(files.items())) for group, files in media(folder).items()]
    images = [
        (group, at, folder / path)
        for group, (at, path) in newest
        if TYPES[Path(path).suffix.lower()].startswith("image")
    ]
    for group, at, file in images[-MOST_IMAGES:]:
        try:
            content = read_file(file)
        except OSError:
            continue
        if len(content) <= MOST_BYTES:
            name = escape(f"{group} after {at:,}")
            source = f"data:{TYPES[file.suffix.lower()]};base64,{base64.b64encode(content).decode()}"
            yield (
                '<figure style="display:inline-block;margin:4px 8px 4px 0">'
                f'<img alt="{name}" src="{source}" style="max-width:280px;max-height:280px">'
                f"<figcaption>{name}</figcaption></figure>"
            )
