"""Images as arrays of pixels: decoded safely, upright, with the depth of the file; cropped and averaged."""

from __future__ import annotations

import io
import warnings
from itertools import pairwise
from typing import Any, TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import ExifTags, Image, UnidentifiedImageError
from torch import Tensor

from artschool.errors import DataError

FORMATS = {".png": "PNG", ".jpg": "JPEG", ".jpeg": "JPEG", ".webp": "WEBP", ".bmp": "BMP"}
DECODERS = tuple(dict.fromkeys(FORMATS.values()))
"""Pillow's names of these formats."""
UNSUPPORTED = frozenset(
    (
        ".tif",
        ".tiff",
        ".gif",
        ".avif",
        ".heic",
        ".heif",
        ".jfif",
        ".jp2",
        ".jxl",
        ".ppm",
        ".pgm",
        ".tga",
        ".dng",
        ".exr",
    )
)
"""Endings of other image formats. Files with them are reported when they are passed over."""
REMOVE = "Fix: replace the file or remove it"
QUARTERS = {3: 2, 4: 2, 5: 3, 6: 3, 7: 1, 8: 1}
"""Quarter turns against the clock by EXIF's orientation, before mirroring."""
MIRRORED = (2, 4, 5, 7)
"""EXIF's orientations that are mirrored left to right after the turn."""

Pixels: TypeAlias = NDArray[Any]
"""(H, W, C) with C = 3, or 1 for gray: uint8 in 0..255, uint16 in 0..65535, or float32 in 0..1."""
WHITE = {"uint8": 255.0, "uint16": 65535.0, "float32": 1.0}
"""Value of white by data type."""
LOW_BYTES = {"RGB;16B": "RGB;16L", "RGBA;16B": "RGBA;16L"}
"""Pillow's name for the second byte of each big-endian value, by that for the first one."""


def decode(data: bytes, location: str) -> Pixels:
    """Decode the bytes of an image in one of `FORMATS`. Of several frames, the first one counts.

    Raises:
        DataError: It is not an image, damaged, or larger than Pillow's limit of pixels.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # About metadata that cannot be read.
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            image = _open(data)
            rawmode = image.tile[0][3] if image.tile else None
            image.load()
            deep = _sixteen_bits(data, image, rawmode)
            orientation = _orientation(image)
    except (Image.DecompressionBombWarning, Image.DecompressionBombError) as error:
        raise DataError(f"{location}: image is too large: {error} {REMOVE}") from error
    except UnidentifiedImageError as error:
        formats, found = ", ".join(sorted(set(FORMATS.values()))), "another format" if data else "an empty file"
        raise DataError(f"{location}: expected an image ({formats}), got {found}. {REMOVE}") from error
    except Exception as error:  # Pillow's decoders raise exceptions of many types.
        raise DataError(f"{location}: image is damaged: {error}. {REMOVE}") from error
    return _upright(pixels_of(image, location) if deep is None else deep, orientation)


def from_pillow(image: Image.Image, location: str) -> Pixels:
    """Return the pixels of an image that another package has decoded, upright.

    Raises:
        DataError: Its values are outside the range of images.
    """
    return _upright(pixels_of(image, location), _orientation(image))


def pixels_of(image: Image.Image, location: str) -> Pixels:
    """Convert to RGB or gray. Transparency is dropped: a pixel keeps its color, whatever its opacity.

    Raises:
        DataError: The values of a 32-bit image are outside the range of images.
    """
    if image.mode.startswith("I;16"):
        return np.asarray(image).astype(np.uint16)[..., None]
    if image.mode == "I":
        return _in_range(np.asarray(image), 65535, location).astype(np.uint16)[..., None]
    if image.mode == "F":
        return _in_range(np.asarray(image), 1, location)[..., None]
    if image.mode in ("L", "1", "LA", "La"):
        gray = image.convert("LA") if image.mode == "La" else image
        return np.asarray(gray.convert("L"))[..., None]
    return np.asarray(image if image.mode == "RGB" else image.convert("RGB"))


def _open(data: bytes) -> Any:
    return Image.open(io.BytesIO(data), formats=DECODERS)


def _in_range(values: Pixels, white: int, location: str) -> Pixels:
    low, high = values.min(), values.max()
    if not 0 <= low <= high <= white:  # False for NaN, too.
        raise DataError(f"{location}: expected values in 0..{white}, got {low:g}..{high:g}. {REMOVE}")
    return values


def _sixteen_bits(data: bytes, image: Image.Image, rawmode: Any) -> Pixels | None:
    """The pixels of a PNG with 16 bits in several channels, of which Pillow keeps 8. None: another image."""
    if rawmode == "LA;16B":  # The four bytes of a pixel: gray and opacity, high byte first.
        quads = _decoded_as(data, "RGBA")
        return _joined(quads[..., :1], quads[..., 1:2])
    if rawmode in LOW_BYTES:
        return _joined(np.asarray(image)[..., :3], _decoded_as(data, LOW_BYTES[rawmode])[..., :3])
    return None


def _decoded_as(data: bytes, rawmode: str) -> Pixels:
    """Decode a PNG whose pixels have the layout that Pillow calls `rawmode`."""
    image = _open(data)
    image.tile = [(*tile[:3], rawmode) for tile in image.tile]
    return np.asarray(image)


def _joined(high: Pixels, low: Pixels) -> Pixels:
    return high.astype(np.uint16) << 8 | low


def _orientation(image: Image.Image) -> int:
    """EXIF's code for how the image is to be turned, 1 to 8; 1 if it has none."""
    try:
        code = image.getexif().get(ExifTags.Base.Orientation, 1)
    except Exception:  # Like viewers, ignore metadata that cannot be read; Pillow raises exceptions of many types.
        return 1
    return code if code in range(1, 9) else 1


def _upright(pixels: Pixels, orientation: int) -> Pixels:
    """Turn and mirror the pixels as EXIF's orientation demands."""
    turned = np.rot90(pixels, QUARTERS[orientation]) if orientation in QUARTERS else pixels
    return turned[:, ::-1] if orientation in MIRRORED else turned


def to_tensor(pixels: Pixels) -> Tensor:
    """Convert to (3, H, W), float32 in 0..1. Gray is repeated."""
    channels = np.array(pixels.transpose(2, 0, 1), dtype=np.float32, order="C")
    tensor = torch.from_numpy(channels).div_(WHITE[pixels.dtype.name])
    return tensor.expand(3, -1, -1).contiguous()


def check_large_enough(height: int, width: int, size: int, location: str) -> None:
    """Check that a square of `size` fits into an image, since nothing is enlarged.

    Raises:
        DataError: The image is smaller.
    """
    if min(height, width) < size:
        raise DataError(
            f"{location}: image is smaller than a patch (expected at least {size} x {size}, got {width} x {height}). "
            "Fix: lower `size`, or remove the image"
        )


def center_square(pixels: Pixels, size: int, location: str) -> Pixels:
    """Return the largest center square, reduced to `size` by the mean over the area of each new pixel.

    An old pixel on the border of two new ones counts for each by the part that it covers, as in OpenCV's `INTER_AREA`.

    Raises:
        DataError: The image is smaller than the square.
    """
    height, width = pixels.shape[:2]
    check_large_enough(height, width, size, location)
    side = min(width, height)
    left, top = (width - side) // 2, (height - side) // 2
    square = pixels[top : top + side, left : left + side]
    if side == size:
        return square
    rows = _area_mean(square, size)
    both = _area_mean(rows.swapaxes(0, 1), size).swapaxes(0, 1)
    return (both / WHITE[pixels.dtype.name]).astype(np.float32)


def _area_mean(values: Pixels, size: int) -> Pixels:
    """Reduce the first dimension to `size`, which is at most its length. Computed in float64."""
    length = len(values)
    edges = np.arange(size + 1) * length  # Of the new pixels, in units of 1 / size old ones.
    whole = -(-edges // size)
    # Pillow's limit of pixels keeps the sums below 2**32. Unlike `np.add.reduceat`, `np.add.reduce` is vectorized.
    exact = np.float64 if values.dtype.kind == "f" else np.uint32
    spans = pairwise(whole)
    sums = np.stack([np.add.reduce(values[start:stop], dtype=exact) for start, stop in spans]).astype(np.float64)
    # A pixel that an edge divides is in the sum before the edge. A part of it belongs to the sum after the edge.
    parts = ((whole * size - edges) / size)[1:-1].reshape(-1, *[1] * (values.ndim - 1))
    carried = values[whole[1:-1] - 1] * parts
    sums[:-1] -= carried
    sums[1:] += carried
    return sums * (size / length)
