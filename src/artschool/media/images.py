"""Image files: read as values in 0..1 with their depth and opacity, and written with them."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import PIL.Image
import torch
from torch import Tensor

from artschool.errors import DataError
from artschool.media.grid import grid
from artschool.media.pixels import FORMATS, Decoded, Pixels, decode_all, to_pixels, values_of
from artschool.media.png import encode_deep
from artschool.storage.durable import write_file

OPAQUE_FORMATS = ("JPEG", "BMP")
"""Formats without opacity."""
DEEP_FORMATS = ("PNG", "TIFF")
"""Formats with 16 bits per channel; the others are written with 8."""
COLOR_SPACES = {1: b"GRAY", 3: b"RGB "}
"""What bytes 16 to 19 of an ICC profile say, by number of channels."""
SETTINGS: dict[str, dict[str, object]] = {
    "JPEG": {"quality": 95, "subsampling": 0},
    "WEBP": {"quality": 95},
    "TIFF": {"compression": "tiff_lzw"},
}


@dataclass(frozen=True)
class Image:
    """An image as values.

    Attributes:
        color: (3, H, W) for RGB or (1, H, W) for gray, floating point, 0..1.
        alpha: Opacity (1, H, W), 0..1; 0 is transparent. None: opaque.
        bits: Bits per channel of the file.
        profile: ICC profile of the color. None: sRGB.
    """

    color: Tensor
    alpha: Tensor | None = None
    bits: Literal[8, 16] = 8
    profile: bytes | None = None


def read_image(path: Path) -> Image:
    """Read an image, turned as its EXIF orientation says.

    Raises:
        DataError: The file is missing, is not an image, damaged, or larger than Pillow's limit of pixels.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {error.strerror}") from error
    return image_of(decode_all(data, str(path)))


def image_of(decoded: Decoded) -> Image:
    """The values of an image that is decoded."""
    alpha = None if decoded.opacity is None else values_of(decoded.opacity)
    return Image(values_of(decoded.color), alpha, 8 if decoded.color.dtype == np.uint8 else 16, decoded.profile)


def pixels_with_alpha(image: Image, bits: int) -> Pixels:
    """Convert an image to (H, W, C), uint8 or uint16, with its opacity as the last channel."""
    values = image.color if image.alpha is None else torch.cat([image.color, image.alpha.to(image.color)])
    return to_pixels(values, bits)


def write_image(path: Path, image: Image | Tensor) -> None:
    """Write or replace an image, in the format that the ending of the path names.

    Args:
        image: The image, or its color. Values are clamped to 0..1, and NaN becomes 0. Formats that cannot hold 16 bits
            get 8.

    Raises:
        DataError: The format cannot hold the image.
        ResourceError: The disk is full or cannot be written.
    """
    write_file(path, encode_image(image if isinstance(image, Image) else Image(image), format_of(path), str(path)))


def write_grid(path: Path, images: Tensor, captions: Sequence[str] = ()) -> None:
    """Write images side by side. See `grid` for the arguments.

    Raises:
        DataError: The values are not images.
        ResourceError: The disk is full or cannot be written.
    """
    sheet = grid(images, captions)
    if sheet is None:
        raise DataError(f"{path}: expected images (B, 1 or 3, H, W) or (B, H, W), got {tuple(images.shape)}")
    write_file(path, encode_pixels(sheet, format_of(path)))


def format_of(path: Path) -> str:
    """Pillow's name of the format of a file.

    Raises:
        DataError: Images are not written with this ending.
    """
    if path.suffix.lower() not in FORMATS:
        raise DataError(f"{path}: expected an image with one of the endings {', '.join(FORMATS)}")
    return FORMATS[path.suffix.lower()]


def encode_image(image: Image, kind: str, location: str) -> bytes:
    """Encode an image in a format of `FORMATS`.

    Raises:
        DataError: The format cannot hold the image.
    """
    if image.color.dim() != 3 or len(image.color) not in COLOR_SPACES:
        raise DataError(f"{location}: expected an image (1 or 3, H, W), got {tuple(image.color.shape)}")
    if image.alpha is not None and kind in OPAQUE_FORMATS:
        raise DataError(f"{location}: {kind} cannot hold the opacity of the image. Fix: write .png")
    bits = image.bits if kind in DEEP_FORMATS else 8
    profile = image.profile
    if profile is not None and profile[16:20] != COLOR_SPACES[len(image.color)]:
        profile = None
    return encode_pixels(pixels_with_alpha(image, bits), kind, profile, location)


def encode_pixels(pixels: Pixels, kind: str, profile: bytes | None = None, location: str = "") -> bytes:
    """Encode uint8 or uint16 pixels (H, W, C): gray, gray and opacity, RGB, or RGB and opacity.

    Raises:
        DataError: It is a TIFF with 16 bits in several channels, which Pillow cannot write.
    """
    if pixels.dtype == np.uint16 and kind == "PNG":
        return encode_deep(pixels, profile)
    if pixels.dtype == np.uint16 and pixels.shape[2] > 1:
        raise DataError(f"{location}: TIFF with 16 bits of color cannot be written. Fix: write .png")
    buffer = io.BytesIO()
    squeezed = pixels[..., 0] if pixels.shape[2] == 1 else pixels
    PIL.Image.fromarray(squeezed).save(buffer, format=kind, icc_profile=profile, **SETTINGS.get(kind, {}))
    return buffer.getvalue()
