"""Image corruptions for restoration: compression, blur, noise, resizing, colour."""

from __future__ import annotations

import io
import math
from collections.abc import Callable
from typing import Annotated, Literal

import torch
import torch.nn.functional as F
from PIL import Image
from pydantic import AfterValidator, BaseModel, ConfigDict, Field
from pydantic_core import PydanticCustomError
from torch import Tensor

from artschool.media.pixels import decode, to_tensor

Kind = Literal[
    "jpeg", "gaussian_blur", "motion_blur", "noise", "resize", "color_jitter", "quantize", "lighten", "grey", "none"
]


def jpeg(image: Tensor, quality: float) -> Tensor:
    """Compress and decompress as JPEG at a quality of 1..100."""
    array = image.clamp(0, 1).mul(255).round().to(torch.uint8).permute(1, 2, 0).numpy()
    buffer = io.BytesIO()
    Image.fromarray(array).save(buffer, "JPEG", quality=max(1, min(100, round(quality))))
    return to_tensor(decode(buffer.getvalue(), "jpeg"))


def gaussian_blur(image: Tensor, sigma: float) -> Tensor:
    """Blur with a Gaussian of `sigma` pixels, truncated at three sigma."""
    if sigma < 0.1:
        return image  # Neighbouring pixels would have weights below 1e-21.
    radius = math.ceil(3 * sigma)
    line = torch.exp(-0.5 * (torch.arange(-radius, radius + 1.0) / sigma).square())
    return _convolve(_convolve(image, (line / line.sum())[None]), (line / line.sum())[:, None])


def motion_blur(image: Tensor, length: float) -> Tensor:
    """Average along a line of `length` pixels in a random direction."""
    radius = math.ceil((length - 1) / 2)
    if radius < 1:
        return image
    angle = float(torch.rand(())) * math.pi
    y, x = torch.meshgrid(*[torch.arange(-radius, radius + 1.0)] * 2, indexing="ij")
    along, across = x * math.cos(angle) + y * math.sin(angle), y * math.cos(angle) - x * math.sin(angle)
    line = (1 - across.abs()).clamp(min=0) * ((length + 1) / 2 - along.abs()).clamp(0, 1)
    return _convolve(image, line / line.sum())


def _convolve(image: Tensor, kernel: Tensor) -> Tensor:
    """Convolve each channel of (3, H, W) with a kernel (h, w), repeating the border."""
    down, right = (side // 2 for side in kernel.shape)
    padded = F.pad(image[None], (right, right, down, down), mode="replicate")
    return F.conv2d(padded.transpose(0, 1), kernel[None, None]).transpose(0, 1)[0]


def noise(image: Tensor, deviation: float) -> Tensor:
    """Add normal noise with this standard deviation."""
    return image + deviation * torch.randn_like(image)


def resize(image: Tensor, factor: float) -> Tensor:
    """Shrink by a factor and enlarge again, each by nearest, bilinear or bicubic interpolation at random."""
    height, width = image.shape[-2:]
    small = (max(1, round(height / factor)), max(1, round(width / factor)))
    for size in (small, (height, width)):
        mode = ("nearest", "bilinear", "bicubic")[int(torch.randint(3, ()))]
        image = F.interpolate(image[None], size=size, mode=mode)[0]
    return image


def color_jitter(image: Tensor, amount: float) -> Tensor:
    """Multiply brightness, contrast and saturation each by a random number in 1 - amount..1 + amount."""
    brightness, contrast, saturation = (1 + amount * (2 * torch.rand(3) - 1)).unbind()
    image = image * brightness
    image = (image - image.mean()) * contrast + image.mean()
    grey = _grey(image)
    return (image - grey) * saturation + grey


def quantize(image: Tensor, levels: float) -> Tensor:
    """Round down to multiples of `1 / levels`."""
    return (image * levels).floor().div(levels)


def lighten(image: Tensor, amount: float) -> Tensor:
    """Add `amount` to all channels."""
    return image + amount


def grey_out(image: Tensor, amount: float) -> Tensor:
    """Blend the image with its greyscale version, whose weight is `amount`."""
    return torch.lerp(image, _grey(image).expand_as(image), amount)


def _grey(image: Tensor) -> Tensor:
    return (image * image.new_tensor([0.299, 0.587, 0.114])[:, None, None]).sum(0, keepdim=True)


Damage = Callable[[Tensor, float], Tensor]
DAMAGES: dict[str, tuple[Damage, tuple[float, float]]] = {
    "jpeg": (jpeg, (75.0, 15.0)),
    "gaussian_blur": (gaussian_blur, (0.0, 1.5)),
    "motion_blur": (motion_blur, (1.0, 7.0)),
    "noise": (noise, (0.0, 0.05)),
    "resize": (resize, (1.0, 4.0)),
    "color_jitter": (color_jitter, (0.0, 0.2)),
    "quantize": (quantize, (64.0, 8.0)),
    "lighten": (lighten, (0.0, 0.3)),
    "grey": (grey_out, (1.0, 1.0)),
    "none": (lambda image, amount: image, (0.0, 0.0)),
}
"""Function of each kind, and its amount at severity 0 and at severity 1."""
BOUNDS = {"jpeg": (1, 100), "motion_blur": (1, 1000), "resize": (1, 64), "quantize": (2, 256), "grey": (0, 1)}


class Corruption(BaseModel):
    """One kind of corruption, with its amount at severity 0 and at severity 1.

    Attributes:
        kind: Kind of corruption. Its amount is a quality in 1..100 (`jpeg`), a standard deviation in pixels
            (`gaussian_blur`) or of the values (`noise`), a length in pixels (`motion_blur`), a factor to shrink by and
            enlarge again (`resize`), the largest relative change (`color_jitter`), a number of levels (`quantize`), an
            added value (`lighten`) or the weight of grey (`grey`). `none` changes nothing.
        range: Amount at severity 0 and amount at severity 1. null: the defaults of the kind, listed in docs/data.md.
    """

    model_config = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False)

    kind: Kind
    range: tuple[float, float] | None = None

    def apply(self, image: Tensor, severity: float) -> Tensor:
        """Corrupt (3, H, W) in 0..1; the result is clamped to 0..1."""
        damage, default = DAMAGES[self.kind]
        low, high = self.range or default
        return damage(image, low + severity * (high - low)).clamp(0, 1)


def _read(value: Corruption | Kind) -> Corruption:
    corruption = Corruption(kind=value) if isinstance(value, str) else value
    low, high = BOUNDS.get(corruption.kind, (0, 1000))
    if corruption.range is not None and not all(low <= end <= high for end in corruption.range):
        context = {"kind": corruption.kind, "low": low, "high": high}
        raise PydanticCustomError("corruption_range", "a range of {kind} within {low}..{high}", context)
    return corruption


Named = Annotated[Corruption | Kind, AfterValidator(_read)]
"""A corruption as written in the file: its kind alone, or a mapping of kind and range."""


class Corruptions(BaseModel):
    """Corruptions of an image: `num_random` of `random`, drawn for each sample, then all of `fixed` in order.

    Each has a severity in 0..1, drawn uniformly or, with `severity: cosine`, more often near 0.

    Attributes:
        fixed: Corruptions of every sample, in this order: kinds, or mappings of kind and range.
        random: Corruptions to draw from for each sample, applied before those of `fixed`: kinds, or mappings of kind
            and range.
        num_random: Number of corruptions drawn from `random` per sample, with replacement, 0 or more.
        severity: Distribution of severities over 0..1: `uniform`, or `cosine`, which is denser near 0.
        before_shrink: Whether the image is corrupted before it is shrunk to `lq`, rather than after.
    """

    model_config = ConfigDict(extra="forbid", strict=True)

    fixed: list[Named] = []
    random: list[Named] = []
    num_random: Annotated[int, Field(ge=0)] = 1
    severity: Literal["uniform", "cosine"] = "uniform"
    before_shrink: bool = False

    def apply(self, image: Tensor) -> tuple[Tensor, Tensor]:
        """Corrupt (3, H, W) in 0..1.

        Returns:
            The image, and the severities of `fixed`, (number of fixed,).
        """
        drawn = torch.randint(len(self.random), (self.num_random,)).tolist() if self.random else []
        chain = [_read(one) for one in (*(self.random[index] for index in drawn), *self.fixed)]
        severities = torch.rand(len(chain))
        if self.severity == "cosine":
            severities = 1 - torch.cos(severities * (math.pi / 2))
        for corruption, severity in zip(chain, severities.tolist(), strict=True):
            image = corruption.apply(image, severity)
        return image, severities[len(drawn) :].clone()
