"""Networks and losses that several processes share in every way that the tests know of."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

from artschool.registry import losses, networks


class Block(nn.Module):
    """A residual block with a scale that has no dimensions."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.inner = nn.Conv2d(width, width, 3, padding=1)
        self.norm = nn.GroupNorm(2, width)
        self.scale = nn.Parameter(torch.tensor(0.5))

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) to the same shape."""
        change: Tensor = self.norm(self.inner(x)).tanh()
        return x + self.scale * change


@networks.register("sharded_coder")
class Coder(nn.Module):
    """Two methods, of which `forward` calls one and which calls `forward`, blocks, tied weights, buffers and marks."""

    def __init__(self, width: int = 6, read_values: bool = False) -> None:
        super().__init__()
        self.first = nn.Conv2d(3, width, 3, padding=1)
        self.blocks = nn.ModuleList([Block(width) for _ in range(2)])
        self.last = nn.Conv2d(width, 3, 1)
        self.again = nn.Conv2d(width, 3, 1)
        self.again.weight = self.last.weight
        vars(self.first.bias)["PARAM_GROUP"] = "slow"
        self.register_buffer("mean", torch.rand(3, 1, 1), persistent=False)
        self.mean: Tensor
        if read_values:  # Impossible without values.
            nn.init.constant_(self.first.weight, float(self.first.weight.detach().abs().mean()))

    def encode(self, x: Tensor) -> Tensor:
        """(B, 3, H, W) to (B, C, H, W)."""
        x = self.first(x - self.mean)
        for block in self.blocks:
            x = block(x)
        return x

    def refine(self, x: Tensor) -> Tensor:
        """The image of the image, with parameters of the network used after it was called."""
        refined: Tensor = self.again(self.first(self(x)))
        return refined

    def forward(self, x: Tensor) -> Tensor:
        """(B, 3, H, W) to (B, 3, H, W)."""
        image: Tensor = self.last(self.encode(x)) + self.again(self.encode(x).square())
        return image

    def get_grad_norm_parameter_groups(self) -> Mapping[str, Sequence[nn.Parameter]]:
        """The norm of the ends."""
        return {"ends": [*self.first.parameters(), *self.last.parameters()]}


@networks.register("sharded_upscaler")
def upscaler(width: int = 8) -> nn.Module:
    """(B, 3, H, W) to (B, 3, 2H, 2W), in parts that can be units."""
    body = nn.Sequential(*(nn.Sequential(nn.Conv2d(width, width, 3, padding=1), nn.SiLU()) for _ in range(2)))
    return nn.Sequential(
        nn.Conv2d(3, width, 3, padding=1), body, nn.Conv2d(width, 12, 3, padding=1), nn.PixelShuffle(2)
    )


@networks.register("sharded_layer")
def layer() -> nn.Module:
    """(B, 3, H, W) to (B, 3, 2H, 2W). The first half of its channels makes the first half of the image's."""
    return nn.Sequential(nn.Conv2d(3, 12, 3, padding=1), nn.PixelShuffle(2))


@networks.register("sharded_reader")
class WeightReader(nn.Module):
    """(B, 3, H, W) to (B, 3, 2 H, 2 W), with the weight of a module that it does not call."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv2d(3, 12, 1, bias=False)
        self.last = nn.PixelShuffle(2)

    def forward(self, x: Tensor) -> Tensor:
        image: Tensor = self.last(nn.functional.conv2d(x, self.first.weight))
        return image


@networks.register("sharded_in_place")
class InPlace(nn.Module):
    """(B, 3, H, W) to (B, 3, 2H, 2W), with operations in place on results of its units, which are views."""

    def __init__(self) -> None:
        super().__init__()
        self.blocks = nn.ModuleList([nn.Linear(3, 12), nn.Linear(12, 12)])

    def forward(self, x: Tensor) -> Tensor:
        first = self.blocks[0](x.movedim(1, -1))
        first += 1.0
        second = self.blocks[1](first)
        second += first
        return nn.functional.pixel_shuffle(second.movedim(-1, 1), 2)


@losses.register("breaks")
def breaks(fake: Tensor, real: Tensor) -> Tensor:
    """The mean distance, which is finite. The gradients of the first channel are not."""
    distance = (fake - real).abs()
    return torch.cat([(distance[:, :1] * 0).sqrt(), distance[:, 1:]], 1).mean()


@losses.register
class BreaksTwice:
    """As `breaks` in the first two iterations, and finite from then on, also after a rollback."""

    def __init__(self) -> None:
        self._count = 0

    def __call__(self, fake: Tensor, real: Tensor) -> Tensor:
        self._count += 1
        return breaks(fake, real) if self._count <= 2 else (fake - real).abs().mean()
