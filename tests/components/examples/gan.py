"""Examples of adversarial losses."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from tests.components.examples.example import Example
from tests.components.examples.general import critic, images

SAMPLES_STAY = "samples get no gradient; tests/components/losses/test_gradient_penalty.py compares the critic's"
DRAWN = "the points are drawn for each sample; a smaller part gets others"
STYLES = "images depend on styles in a step alone; tests/components/losses/test_path_length.py"


class Scales(nn.Module):
    """(B, 2, 4, 4) to logits of two scales."""

    def __init__(self) -> None:
        super().__init__()
        self.fine, self.coarse = nn.Conv2d(2, 1, 2), nn.Conv2d(2, 1, 4)

    def forward(self, x: Tensor) -> list[Tensor]:
        return [self.fine(x), self.coarse(x).tanh()]


class Conditional(nn.Module):
    """(B, 2, 4, 4) and a class of each sample to (B, 1)."""

    def __init__(self) -> None:
        super().__init__()
        self.body, self.classes = nn.Linear(32, 4), nn.Embedding(3, 4)

    def forward(self, x: Tensor, label: Tensor) -> Tensor:
        features: Tensor = self.body(x.flatten(1)).tanh()
        logits: Tensor = (features * (1 + self.classes(label))).sum(1, keepdim=True)
        return logits


class Layers(nn.Module):
    """(B, 2, 4, 4) to features of two layers."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.Conv2d(2, 3, 2), nn.Conv2d(3, 1, 2)

    def features(self, x: Tensor) -> list[Tensor]:
        first = self.first(x).tanh()
        return [first, self.second(first)]


def labelled(batch: int) -> dict[str, Any]:
    """`x`, `y`: (B, 2, 4, 4); `label`: (B,)."""
    return {**images(batch), "label": torch.arange(batch) % 3}


def styles(batch: int) -> dict[str, Any]:
    """`w`: (B, 5); `x`: (B, 2, 4, 4)."""
    return {"w": torch.randn(batch, 5), **images(batch)}


EXAMPLES = [
    Example(
        "losses",
        "{type: generator_gan, network: net, fake: x, kind: saturating, noise: 0.1, min_loss: -10, weight: 1}",
        images,
        {"net": Scales},
        ("x",),
    ),
    Example(
        "losses",
        "{type: generator_gan, network: net, fake: x, real: y, kind: ragan, detach_real: false, weight: 1}",
        images,
        {"net": Scales},
    ),
    Example(
        "losses",
        "{type: discriminator_gan, network: net, fake: x, real: y, kind: max_spread, noise: 0.1, weight: 1}",
        images,
        {"net": Scales},
        ("y",),
    ),
    Example(
        "losses",
        "{type: discriminator_gan, network: net, fake: [x, label], real: [y, label], kind: hinge, min_loss: 0, "
        "weight: 1}",
        labelled,
        {"net": Conditional},
        ("y",),
    ),
    *(
        Example(
            "losses",
            f"{{type: stylegan2_divergence, network: net, fake: x, real: y, role: {role}, weight: 1}}",
            images,
            {"net": critic},
            keys,
        )
        for role, keys in (("generator", ("x",)), ("critic", ("x", "y")))
    ),
    *(
        Example(
            "losses",
            f"{{type: gradient_penalty, network: net, real: [x, label], fake: [y, label], kind: {kind}, weight: 1}}",
            labelled,
            {"net": Conditional},
            exempt={"gradient": SAMPLES_STAY} | ({"parts": DRAWN} if kind == "wgan_gp" else {}),
        )
        for kind in ("r1", "r2", "wgan_gp", "wgan_gp_real")
    ),
    Example(
        "losses", "{type: feature_matching, network: net, fake: x, real: y, weight: 1}", images, {"net": Layers}, ("x",)
    ),
    Example("losses", "{type: path_length, styles: w, images: x, weight: 1}", styles, exempt={"gradient": STYLES}),
]
