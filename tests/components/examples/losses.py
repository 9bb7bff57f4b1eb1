"""Examples of losses that are neither adversarial nor of one domain."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from artschool.components.networks.numbers import Numbers
from tests.components.examples.example import Example
from tests.components.examples.general import images


def smooth(*layers: nn.Module) -> nn.Module:
    """Layers with a smooth activation after the first."""
    return nn.Sequential(layers[0], nn.Softplus(), *layers[1:])


def upscaler() -> nn.Module:
    """(B, 2, H, W) to (B, 2, 2 H, 2 W)."""
    return smooth(nn.Conv2d(2, 8, 3, padding=1), nn.PixelShuffle(2))


def two_losses(batch: int) -> dict[str, Any]:
    """`a` and `b`: scalars."""
    return {"a": torch.randn(()), "b": torch.randn(())}


def two_losses_of_x(batch: int) -> dict[str, Any]:
    """`a` and `b`: scalars, and `x`: (B, 4)."""
    return {**two_losses(batch), "x": torch.randn(batch, 4)}


class TwoMaps(nn.Module):
    """(B, 2, H, W) to a mapping of two feature maps."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.Conv2d(2, 3, 3), nn.Conv2d(3, 4, 2)

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        inner = torch.nn.functional.softplus(self.first(x))
        return {"first": inner, "second": self.second(inner)}


class FiveMaps(nn.Module):
    """(B, 2, H, W) to a list of five, with the channels of VGG's."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.ModuleList(nn.Conv2d(2, channels, 1) for channels in (64, 128, 256, 512, 512))

    def forward(self, x: Tensor) -> list[Tensor]:
        return [layer(x) for layer in self.layers]


class Router(nn.Module):
    """Always sends half of the places to each of the first two of three experts."""

    def __init__(self) -> None:
        super().__init__()
        self.logits = nn.Parameter(torch.randn(4, 3))

    def routing(self) -> dict[str, Tensor]:
        chosen = torch.zeros_like(self.logits)
        chosen[:, :2] = 1
        return {
            "probabilities": self.logits.softmax(-1),
            "chosen": chosen,
            "load": self.logits.sigmoid(),
        }


def pictures(batch: int) -> dict[str, Any]:
    """`x`, `y`: (B, 1, 6, 6) in 0..1."""
    return {"x": torch.rand(batch, 1, 6, 6), "y": torch.rand(batch, 1, 6, 6)}


def doubled(batch: int) -> dict[str, Any]:
    """`x`: (B, 2, 3, 3); `large`: (B, 2, 6, 6)."""
    return {"x": torch.randn(batch, 2, 3, 3), "large": torch.randn(batch, 2, 6, 6)}


def patches(batch: int) -> dict[str, Any]:
    """`a`, `b`, `c`: (B, 2, 3, 3) and `made`, twice as large."""
    return {
        **{key: torch.randn(batch, 2, 3, 3) for key in "abc"},
        "made": torch.randn(batch, 2, 6, 6),
    }


def embeddings(batch: int) -> dict[str, Any]:
    """`x`, `y`: (B, 5)."""
    return {"x": torch.randn(batch, 5), "y": torch.randn(batch, 5)}


def embeddings_and_kept(batch: int) -> dict[str, Any]:
    """`x`, `y`: (B, 5), and `kept`: (3, 5)."""
    return {**embeddings(batch), "kept": torch.randn(3, 5)}


def series(batch: int) -> dict[str, Any]:
    """`x`, `y`: (B, 3, 2, 4)."""
    return {"x": torch.randn(batch, 3, 2, 4), "y": torch.randn(batch, 3, 2, 4)}


NO_KEYS = {"gradient": "it reads no keys; the gradient of the parameters is tested in test_load_balance.py"}

EXAMPLES = [
    *(
        Example("losses", f"{{type: {entry}, in: [x, y], weight: 1}}", images)
        for entry in (
            "adjusted_pixel, real_scale: 2.0, real_offset: 0.5, log_statistics: true",
            "adjusted_pixel, criterion: cosine",
            "charbonnier",
            "cosine",
            "focal_frequency, alpha: 0.0",
            "huber, delta: 0.7",
            "smooth_l1, beta: 0.7",
        )
    ),
    Example(
        "losses",
        "{type: focal_frequency, in: [x, y], weight: 1}",
        images,
        exempt={"gradient": "its weights are constants to the loss, but functions of x and y to finite differences"},
    ),
    # The weights of the details are constants to the loss, but functions of y to finite differences.
    Example("losses", "{type: detail_l2, in: [x, y], scale: 2, weight: 1}", images, differentiable=("x",)),
    Example("losses", "{type: total_variation, in: x, weight: 1}", images),
    Example("losses", "{type: ssim, in: [x, y], window: 3, deviation: 0.7, weight: 1}", pictures),
    Example("losses", "{type: ms_ssim, in: [x, y], window: 3, scale_weights: [0.4, 0.6], weight: 1}", pictures),
    Example("losses", "{type: info_nce, in: [x, y], symmetric: true, weight: 1}", embeddings),
    Example("losses", "{type: info_nce, in: [x, y], negatives: kept, weight: 1}", embeddings_and_kept),
    Example("losses", "{type: nt_xent, in: [x, y], weight: 1}", embeddings),
    Example(
        "losses",
        "{type: uncertainty, in: [a, b], log_variances: s, weight: 1}",
        two_losses,
        {"s": lambda: Numbers(count=2, initial=0.3)},
    ),
    Example(
        "losses",
        "{type: gradnorm, in: [a, b], weights: w, at: x, weight: 1}",
        two_losses_of_x,
        {"w": lambda: Numbers(count=2, initial=1.0, sum=2)},
        exempt={"gradient": "only the weights get a gradient"},
    ),
    Example(
        "losses",
        "{type: vicreg, in: [x, y], weight: 1}",
        embeddings,
        exempt={"batch_of_one": "one sample has no variance; the loss says so"},
    ),
    Example("losses", "{type: kl_divergence, in: [x, y], weight: 1}", embeddings),
    Example("losses", "{type: vq_commitment, in: [x, y], weight: 1}", embeddings, differentiable=("x",)),
    Example("losses", "{type: vq_codebook, in: [x, y], weight: 1}", embeddings, differentiable=("y",)),
    Example("losses", "{type: for_each, loss: {type: huber}, in: [x, y], weight: 1}", series),
    Example("losses", "{type: for_element, loss: {type: l2}, index: -1, in: [x, y], weight: 1}", series),
    Example("losses", "{type: geometric, network: net, in: [x, large], weight: 1}", doubled, {"net": upscaler}),
    Example(
        "losses", "{type: recursive, network: net, in: large, scale_factor: 0.5, weight: 1}", doubled, {"net": upscaler}
    ),
    Example(
        "losses",
        "{type: translational, network: net, in: [made, a, b, c], overlap: 4, weight: 1}",
        patches,
        {"net": upscaler},
        ("made",),
    ),
    Example(
        "losses",
        "{type: perceptual, network: net, in: [x, y], layer_weights: {first: 2}, criterion: l2, weight: 1}",
        images,
        {"net": TwoMaps},
        ("x",),
    ),
    Example("losses", "{type: style, network: net, in: [x, y], weight: 1}", images, {"net": TwoMaps}, ("x",)),
    Example("losses", "{type: lpips, network: net, in: [x, y], weight: 1}", images, {"net": FiveMaps}, ("x",)),
    Example("losses", "{type: mixture_of_experts, network: net, weight: 1}", images, {"net": Router}, exempt=NO_KEYS),
    Example(
        "losses", "{type: switch_transformer_balance, network: net, weight: 1}", images, {"net": Router}, exempt=NO_KEYS
    ),
]
