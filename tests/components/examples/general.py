"""Examples of injectors and losses for any kind of data."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from tests.components.examples.example import Example


def images(batch: int) -> dict[str, Any]:
    """`x`, `y`: (B, 2, 4, 4)."""
    return {"x": torch.randn(batch, 2, 4, 4), "y": torch.randn(batch, 2, 4, 4)}


def classes(batch: int) -> dict[str, Any]:
    """`logits`, `soft`: (B, 5); `labels`: (B,)."""
    logits, soft = torch.randn(batch, 5), torch.randn(batch, 5).softmax(1)
    return {"logits": logits, "soft": soft, "labels": torch.arange(batch) % 5}


def sequences(batch: int) -> dict[str, Any]:
    """`logits`: (B, 4, 3); `labels`, `gaps`: (B, 4), where `gaps` has labels of -100; `mask`: (B, 4).

    Places that count: 2 to 4 of a sample.
    """
    labels = torch.arange(batch * 4).view(batch, 4) % 3
    mask = torch.arange(4) < 2 + torch.arange(batch)[:, None] % 3
    gaps = labels.masked_fill(~mask, -100)
    return {"logits": torch.randn(batch, 4, 3), "labels": labels, "gaps": gaps, "mask": mask.float()}


def critic() -> nn.Module:
    """(B, 2, 4, 4) to (B, 1)."""
    return nn.Sequential(nn.Conv2d(2, 3, 3), nn.Softplus(), nn.Flatten(), nn.Linear(12, 1))


EXAMPLES = [
    Example("injectors", "{type: add_noise, in: x, out: z, scale: 0.5}", images),
    Example("injectors", "{type: add_noise, in: x, out: z, scale: y, kind: uniform}", images),
    Example("injectors", "{type: alias, in: x, out: z}", images),
    Example("injectors", "{type: concatenate, in: [x, y], out: z}", images),
    Example("injectors", "{type: denormalize, in: x, out: z, shift: 0.5, scale: 2.0}", images),
    Example("injectors", "{type: forward, network: net, in: x, out: z}", images, {"net": critic}),
    Example("injectors", "{type: grey, in: x, out: z}", images),
    Example("injectors", "{type: interpolate, in: x, out: z, scale_factor: 2.0, mode: bicubic}", images),
    Example("injectors", "{type: normalize, in: x, out: z, shift: 0.5, scale: 2.0}", images),
    Example("injectors", "{type: pad, in: x, out: z, multiple: 3}", images),
    Example("injectors", "{type: squeeze, in: x, out: z, dim: 1}", lambda batch: {"x": torch.randn(batch, 1, 4)}),
    Example("losses", "{type: cross_entropy, in: [logits, labels], weight: 1}", classes),
    Example("losses", "{type: cross_entropy, in: [logits, soft], kind: soft, weight: 1}", classes),
    Example("losses", "{type: cross_entropy, in: [logits, soft], kind: bce, weight: 1}", classes),
    Example("losses", "{type: cross_entropy, in: [logits, labels, mask], class_dim: -1, weight: 1}", sequences),
    Example("losses", "{type: cross_entropy, in: [logits, gaps], class_dim: -1, weight: 1}", sequences),
    Example("losses", "{type: distillation, in: [logits, soft], temperature: 2.0, weight: 1}", classes),
    Example("losses", "{type: l1, in: [x, y], weight: 1}", images),
    Example("losses", "{type: l2, in: [x, y], weight: 1}", images),
    Example("losses", "{type: mean, in: x, ramp_iterations: 10, weight: 1}", images),
    *(
        Example(
            "losses",
            f"{{type: generator_gan, network: net, fake: x, real: y, kind: {kind}, weight: 1}}",
            images,
            {"net": critic},
            ("x",),
        )
        for kind in ("vanilla", "lsgan", "hinge", "wgan", "ragan")
    ),
    *(
        Example(
            "losses",
            f"{{type: discriminator_gan, network: net, fake: x, real: y, kind: {kind}, weight: 1}}",
            images,
            {"net": critic},
            ("y",),
        )
        for kind in ("vanilla", "lsgan", "hinge", "wgan", "ragan")
    ),
]
