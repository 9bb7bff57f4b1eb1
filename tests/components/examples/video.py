"""Examples of injectors and losses for sequences of images."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from tests.components.examples.example import Example


class TinyFlow(nn.Module):
    """The flow between two images of one channel, by one smooth convolution of both."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(2, 2, 3, padding=1)

    def forward(self, first: Tensor, second: Tensor) -> Tensor:
        flow: Tensor = 0.7 * self.conv(torch.cat([first, second], dim=1)).tanh() + 0.2
        return flow


class TwoInputs(nn.Module):
    """(B, 1, H, W) and (B, 1, 2 H, 2 W) to the second shape."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.ConvTranspose2d(1, 1, 2, stride=2)

    def forward(self, frame: Tensor, before: Tensor) -> Tensor:
        image: Tensor = self.conv(frame).tanh() + 0.5 * before
        return image


def doubling(in_channels: int) -> nn.Module:
    """(B, in_channels, H, W) to (B, 1, 2 H, 2 W)."""
    return nn.Sequential(nn.ConvTranspose2d(in_channels, 1, 2, stride=2), nn.Tanh())


def critic() -> nn.Module:
    """Triplets of frames of one channel, (B, 6, H, W), to logits."""
    return nn.Sequential(nn.Conv2d(6, 2, 3), nn.Softplus())


def images(batch: int) -> dict[str, Any]:
    """`x` (B, 1, 6, 6), a `flow` for it that points between pixels, a `disparity`, and a small image `y`."""
    return {
        "x": torch.randn(batch, 1, 6, 6),
        "flow": 0.3 + 0.4 * torch.rand(batch, 2, 6, 6),
        "disparity": 0.3 + 0.4 * torch.rand(batch, 1, 6, 6),
        "y": torch.randn(batch, 1, 3, 3),
    }


def sequences(batch: int) -> dict[str, Any]:
    """`lq` (B, 3, 1, 4, 4); `hq` twice as large; `fake` as large with the way back, 5 frames."""
    return {
        "lq": torch.randn(batch, 3, 1, 4, 4),
        "hq": torch.randn(batch, 3, 1, 8, 8),
        "fake": torch.randn(batch, 5, 1, 8, 8),
    }


def zooms(batch: int) -> dict[str, Any]:
    """`lq` (B, 1, 3, 3) and `hq` eight times as large."""
    return {"lq": torch.randn(batch, 1, 3, 3), "hq": torch.randn(batch, 1, 24, 24)}


def same_size(batch: int) -> dict[str, Any]:
    """`a`, `b`: (B, 1, 6, 6)."""
    return {"a": torch.randn(batch, 1, 6, 6), "b": torch.randn(batch, 1, 6, 6)}


FLOW = {"flow": TinyFlow}
EXAMPLES = [
    Example("injectors", "{type: warp, in: [x, flow], out: z}", images, differentiable=("x", "flow")),
    Example("injectors", "{type: warp, in: [x, disparity], padding: zeros, out: z}", images, differentiable=("x",)),
    Example("injectors", "{type: align_by_flow, flow: flow, in: [a, b], grad: true, out: z}", same_size, FLOW),
    Example("injectors", "{type: align_by_flow, flow: flow, in: [x, y], grad: true, out: z}", images, FLOW, ("x", "y")),
    Example("injectors", "{type: flow_to_image, in: flow, out: z}", images, exempt={"gradient": "a picture has none"}),
    Example(
        "injectors", "{type: combine_frames, flow: flow, in: [lq, hq], out: [z, centre]}", sequences, FLOW, ("hq",)
    ),
    Example(
        "injectors",
        "{type: recurrent_generate, network: net, flow: flow, in: lq, scale: 2, ping_pong: true, out: z}",
        sequences,
        {**FLOW, "net": lambda: doubling(5)},
        ("lq",),
    ),
    Example(
        "injectors",
        "{type: recurrent_generate, network: net, flow: flow, in: [lq, hq], scale: 2, start: bicubic, "
        "previous: argument, out: z}",
        sequences,
        {**FLOW, "net": TwoInputs},
        ("lq",),
    ),
    Example(
        "injectors",
        "{type: progressive_zoom, network: net, in: [lq, hq], depth: 3, out: [z, target]}",
        zooms,
        {"net": lambda: doubling(1)},
    ),
    Example("losses", "{type: ping_pong, in: fake, weight: 1}", sequences, differentiable=("fake",)),
    Example("losses", "{type: ping_pong, in: fake, criterion: l2, weight: 1}", sequences, differentiable=("fake",)),
    *(
        Example("losses", f"{{type: warp, flow: flow, in: lq, criterion: {kind}, weight: 1}}", sequences, FLOW, ("lq",))
        for kind in ("l1", "l2")
    ),
    Example(
        "losses",
        "{type: temporal_gan, flow: flow, fake: fake, guide: lq, margin: 1, weight: 1, "
        "loss: {type: generator_gan, network: net, kind: hinge}}",
        sequences,
        {**FLOW, "net": critic},
        ("fake",),
    ),
    Example(
        "losses",
        "{type: temporal_gan, flow: flow, fake: fake, guide: lq, real: hq, margin: 1, weight: 1, "
        "loss: {type: discriminator_gan, network: net, kind: vanilla}}",
        sequences,
        {**FLOW, "net": critic},
        ("hq",),
    ),
]
