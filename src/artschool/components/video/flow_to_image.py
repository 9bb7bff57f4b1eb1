"""Optical flow as an image."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from artschool.components.precision import at_least_float32
from artschool.errors import ConfigError
from artschool.registry import injectors
from artschool.registry.signature import Positive

# Number of steps from red to yellow, to green, to cyan, to blue, to magenta, and back to red.
ARCS = (15, 6, 4, 11, 13, 6)
CORNERS = ((1, 0, 0), (1, 1, 0), (0, 1, 0), (0, 1, 1), (0, 0, 1), (1, 0, 1))
NOT_ZERO = 1e-12


@injectors.register
class FlowToImage(nn.Module):
    """Draw a flow in the Middlebury colours: hue shows direction, saturation shows length, white is no motion.

    To the right is red, down is yellow, to the left is cyan, up is blue. Without gradients.

    Source: Baker et al. 2011, A Database and Evaluation Methodology for Optical Flow, IJCV 92, whose published code
        this colour wheel of 55 steps comes from.

    Args:
        most: Length of flow with full saturation in pixels, above 0; longer flows are darker. null: the longest flow of
            each sample.
    """

    wheel: Tensor

    def __init__(self, *, most: Positive | None = None) -> None:
        super().__init__()
        self._most = most
        self.register_buffer("wheel", torch.tensor(_wheel()), persistent=False)

    @torch.no_grad()
    def forward(self, flow: Tensor) -> Tensor:
        """Draw.

        Args:
            flow: (B, 2, H, W) in pixels, to the right and down.

        Returns:
            (B, 3, H, W) in 0..1.

        Raises:
            ConfigError: The input is not a flow.
        """
        if flow.dim() != 4 or flow.shape[1] != 2:
            raise ConfigError(f"flow_to_image: expected a flow (B, 2, H, W), got {tuple(flow.shape)}")
        right, down = at_least_float32(flow).unbind(1)
        length = (right.square() + down.square()).sqrt()
        most = length.amax((1, 2), keepdim=True).clamp(min=NOT_ZERO) if self._most is None else self._most
        length = (length / most)[:, None]
        turn = (torch.atan2(-down, -right) / math.pi + 1) / 2 * (len(self.wheel) - 1)
        first = turn.floor().long()
        lower, upper = (self.wheel[step % len(self.wheel)].to(turn.dtype) for step in (first, first + 1))
        colour = torch.lerp(lower, upper, (turn - first)[..., None]).movedim(-1, 1)
        return torch.where(length <= 1, 1 - length * (1 - colour), 0.75 * colour)


def _wheel() -> list[list[float]]:
    """Red, green and blue of each step, (55, 3)."""
    corners = zip(CORNERS, (*CORNERS[1:], CORNERS[0]), ARCS, strict=True)
    return [
        [start + (end - start) * step / steps for start, end in zip(colour, next_colour, strict=True)]
        for colour, next_colour, steps in corners
        for step in range(steps)
    ]
