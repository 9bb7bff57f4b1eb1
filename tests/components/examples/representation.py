"""Examples of injectors and losses that learn representations."""

from __future__ import annotations

from typing import Any

import torch

from tests.components.examples.example import Example


def views(batch: int) -> dict[str, Any]:
    """Predictions `p1`, `p2` and targets `t1`, `t2`: (B, 5)."""
    return {name: torch.randn(batch, 5) for name in ("p1", "p2", "t1", "t2")}


def pictures(batch: int) -> dict[str, Any]:
    """`x`: (B, 3, 5, 6) in 0..1."""
    return {"x": torch.rand(batch, 3, 5, 6)}


EXAMPLES = [
    Example("injectors", "{type: random_view, in: x, out: z, blur: 0.5}", pictures),
    Example("injectors", "{type: random_view, in: x, out: z, crop: [1, 1], brightness: 0, blur: 0}", pictures),
    Example("losses", "{type: byol, in: [p1, p2, t1, t2], weight: 1}", views, differentiable=("p1", "p2")),
]
