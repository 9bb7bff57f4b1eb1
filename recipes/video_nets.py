"""Frames of a camera that moves over real photographs, and a generator that sees what it made of the frame before."""

from __future__ import annotations

from typing import Literal, TypedDict

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from artschool import datasets, networks
from artschool.components.datasets.photos import load_photos

MOST_SHIFT, MOST_ZOOM = 3.0, 0.01
"""How far the camera moves between frames, in pixels of `hq` and as a share of its distance."""


class Pan(TypedDict):
    """`lq` (T, 3, h, w) and `hq` (T, 3, H, W) in 0..1; `flow` (2, h, w), from frame 1 to frame 0 in pixels of `lq`."""

    lq: Tensor
    hq: Tensor
    flow: Tensor


@datasets.register
class PhotoPans:
    """Short takes of a camera that pans and zooms steadily over a photograph of scikit-image or scikit-learn.

    Args:
        split: `train` has eight photographs and another motion each time, `val` two others and the same takes always.
        size: Side of `hq` in pixels.
        scale: How many times smaller `lq` is.
        frames: Length of a take.
        count: Takes in an epoch.
    """

    def __init__(
        self,
        *,
        split: Literal["train", "val"] = "train",
        size: int = 48,
        scale: int = 2,
        frames: int = 5,
        count: int = 1024,
    ) -> None:
        self._photos = list(load_photos(split).values())
        self._fixed = split == "val"
        self._size, self._scale, self._frames, self._count = size, scale, frames, count

    def __len__(self) -> int:
        return self._count

    def __getitem__(self, index: int) -> Pan:
        generator = torch.Generator().manual_seed(index if self._fixed else int(torch.randint(2**62, ())))
        photo = self._photos[index % len(self._photos)]
        place, shift, zoom = (
            torch.rand(2, generator=generator),
            torch.rand(2, generator=generator),
            torch.rand((), generator=generator),
        )
        shift, zoom = MOST_SHIFT * (2 * shift - 1), MOST_ZOOM * (2 * zoom - 1)
        # Pixels around the centre of the view, right and down.
        around = torch.arange(self._size) - (self._size - 1) / 2
        around = torch.stack(torch.meshgrid(around, around, indexing="xy"))
        # All frames stay within the photograph.
        reach = (self._size / 2 + 1) * (1 + MOST_ZOOM * self._frames) + MOST_SHIFT * self._frames
        sides = torch.tensor([photo.shape[2], photo.shape[1]])
        start = reach + place * (sides - 2 * reach)
        times = torch.arange(self._frames)[:, None, None, None]
        views = start[:, None, None] + shift[:, None, None] * times + around * (1 + zoom * times)
        grid = (2 * views.movedim(1, -1) + 1) / sides - 1
        photos = photo.expand(self._frames, *photo.shape)
        hq = F.grid_sample(photos, grid, mode="bicubic", padding_mode="reflection", align_corners=False).clamp(0, 1)
        lq = F.interpolate(hq, scale_factor=1 / self._scale, mode="bicubic", antialias=True).clamp(0, 1)
        # What view 1 shows at `around` stands in view 0 where shift + around * (1 + zoom) is.
        flow = F.avg_pool2d(shift[:, None, None] + zoom * around, self._scale) / self._scale
        return {"lq": lq, "hq": hq, "flow": flow}


@networks.register
class FrameGenerator(nn.Module):
    """Residual blocks on a frame and the warped output before it, then sub-pixel convolution onto the enlarged frame.

    Args:
        scale: How many times larger the output is.
        width: Channels between blocks.
        blocks: Residual blocks of two convolutions.
    """

    def __init__(self, *, scale: int = 2, width: int = 24, blocks: int = 3) -> None:
        super().__init__()
        self.scale = scale
        self.first = nn.Conv2d(3 + 3 * scale**2, width, 3, padding=1)
        self.blocks = nn.ModuleList(
            nn.Sequential(nn.Conv2d(width, width, 3, padding=1), nn.ReLU(), nn.Conv2d(width, width, 3, padding=1))
            for _ in range(blocks)
        )
        self.last = nn.Conv2d(width, 3 * scale**2, 3, padding=1)
        nn.init.zeros_(self.last.weight)  # Training begins at bicubic interpolation.

    def forward(self, x: Tensor) -> Tensor:
        """(B, 3 + 3 scale**2, H, W), the frame and what came before as `recurrent_generate` joins them, to an image."""
        features = self.first(x)
        for block in self.blocks:
            features = features + block(features)
        enlarged = F.interpolate(x[:, :3], scale_factor=float(self.scale), mode="bicubic")
        return enlarged + F.pixel_shuffle(self.last(features), self.scale)
