"""Examples of the injectors that shape, draw and schedule values of any kind."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import nn

from tests.components.examples.example import Example
from tests.components.examples.general import images

NO_INPUT = {"gradient": "nothing that comes out depends on what goes in"}
TOKENIZER = Path(__file__).parent / "tokenizer.json"
"""The words `a` and `b`, which are 1 and 2."""
CENTROIDS = Path(__file__).parent / "centroids.safetensors"
"""The first three rows of the unit matrix of four."""


def sequences(batch: int) -> dict[str, Any]:
    """`x`: (B, 4, 6)."""
    return {"x": torch.randn(batch, 4, 6)}


def folded(batch: int) -> dict[str, Any]:
    """`x`: (3 B, 4), and what unfolds it to (B, 3, 4)."""
    return {"x": torch.randn(3 * batch, 4), "shape": [3, batch, 9], "order": [1, 0, 2]}


def lists(batch: int) -> dict[str, Any]:
    """`x`: two of (B, 4)."""
    return {"x": [torch.randn(batch, 4), torch.randn(batch, 4)]}


def linear() -> nn.Module:
    """(..., 6) to (..., 2)."""
    return nn.Linear(6, 2)


def losses(batch: int) -> dict[str, Any]:
    """`a` and `b`: two losses, and `x`: (B, 4), on which they do not depend."""
    return {"x": torch.randn(batch, 4), "a": torch.randn(()), "b": torch.randn(())}


WEIGHT = {"gradient": "the weight of a loss has no gradient"}
KEPT = {"gradient": "what is kept has no gradient", "parts": "the second part meets the first"}
EXAMPLES = [
    Example("injectors", "{type: gradient_ratio, in: [a, b], at: x, out: z}", losses, exempt=WEIGHT),
    Example("injectors", "{type: loss_gradients, losses: {a: a, b: b}, at: x, out: z}", losses, exempt=WEIGHT),
    Example("injectors", "{type: queue, in: x, size: 5, shape: [4, 6], out: z}", sequences, exempt=KEPT),
    Example("injectors", "{type: image_pool, in: x, size: 3, out: z}", images, exempt=KEPT),
    Example("injectors", "{type: replay_buffer, in: [x, y], size: 5, out: [z, d]}", images, exempt=KEPT),
    Example(
        "injectors",
        "{type: reverse_gradient, in: x, factor: 2.0, out: z}",
        images,
        exempt={"gradient": "it is not the derivative of the values, on purpose"},
    ),
    Example(
        "injectors",
        f"{{type: tokenize, in: text, file: {TOKENIZER}, length: 4, out: [tokens, mask]}}",
        lambda batch: {"text": ["a b", "b"][:batch]},
        exempt={"meta": "texts are on the host"},
    ),
    Example(
        "injectors",
        "{type: kornia, name: RandomGaussianBlur, options: {kernel_size: 3, sigma: [0.5, 1]}, in: [x, y], out: [z, w]}",
        images,
        exempt={"meta": "kornia draws on the CPU"},
    ),
    Example("injectors", "{type: add, in: [x, y], out: z}", images),
    Example("injectors", "{type: constant, value: 2.0, out: z}", images, exempt=NO_INPUT),
    Example("injectors", "{type: constant, in: x, value: 2.0, out: z}", images, exempt=NO_INPUT),
    Example("injectors", "{type: corner_crops, in: x, size: 3, resize: 4, out: [z, a, b, c, d]}", images),
    Example("injectors", "{type: crop_border, in: x, margin: 1, out: z}", images),
    Example("injectors", "{type: crop_border, in: x, margin: 1, max_shift: 1, out: z}", images),
    Example("injectors", "{type: difference_channels, in: [x, y], include_hq: true, out: [z, d]}", images),
    Example("injectors", "{type: fold_dimension, in: x, dim: 2, out: [z, shape, order]}", images),
    Example("injectors", "{type: for_each, in: x, injector: {type: normalize, shift: 1.0}, out: z}", images),
    Example(
        "injectors",
        "{type: for_each, in: x, injector: {type: forward, network: net}, as_list: true, out: z}",
        sequences,
        {"net": linear},
    ),
    Example(
        "injectors",
        "{type: for_each, in: x, injector: {type: alias}, dim: 0, out: z}",
        lists,
        exempt={"gradient": "the comparison takes tensors, and this is a list"},
    ),
    Example(
        "injectors",
        f"{{type: kmeans_quantizer, in: x, centroids: {CENTROIDS}, out: z}}",
        sequences,
        exempt={"gradient": "numbers of centroids have none"},
    ),
    Example("injectors", "{type: mix_and_label, in: [x, y], out: [z, labels]}", images),
    Example("injectors", "{type: noise, in: x, shape: [3, 2], out: z}", images, exempt=NO_INPUT),
    Example("injectors", "{type: noise, in: x, shape: [3], kind: uniform, out: z}", images, exempt=NO_INPUT),
    Example("injectors", "{type: random_length, in: x, min_length: 2, out: z}", sequences),
    Example("injectors", "{type: random_resized_crop, in: x, size: 3, out: z}", images),
    Example("injectors", "{type: random_resized_crop, in: x, size: 3, min_area: 0.5, mode: nearest, out: z}", images),
    Example("injectors", "{type: random_shift, in: x, max_shift: 2, out: z}", images),
    Example("injectors", "{type: random_shift, in: x, max_shift: 2, fill: zero, out: z}", images),
    Example("injectors", "{type: roll, in: x, out: z}", images),
    Example(
        "injectors", "{type: scheduled_scalar, initial: 1, final: 0, iterations: 6, out: z}", images, exempt=NO_INPUT
    ),
    Example("injectors", "{type: select, in: x, index: [0, -1], dim: 2, out: [z, w]}", images),
    Example("injectors", "{type: slice, in: x, start: 1, out: z}", images),
    Example("injectors", "{type: style_mixing_noise, in: x, latent_dim: 3, out: z}", images, exempt=NO_INPUT),
    Example("injectors", "{type: unfold_dimension, in: [x, shape, order], out: z}", folded),
]
