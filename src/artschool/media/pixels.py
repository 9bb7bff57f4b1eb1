"""Images as arrays of pixels: decoded safely, upright, with the depth of the file."""

from __future__ import annotations

import io
import sys
import warnings
from typing import Any, NamedTuple, TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import ExifTags, Image, UnidentifiedImageError
from torch import Tensor

from artschool.errors import DataError

FORMATS = {
    ".png": "PNG",
    ".jpg": "JPEG",
    ".jpeg": "JPEG",
    ".webp": "WEBP",
    ".bmp": "BMP",
    ".tif": "TIFF",
    ".tiff": "TIFF",
}
DECODERS = tuple(dict.fromkeys(FORMATS.values()))
"""Pillow's names of these formats."""
UNSUPPORTED = frozenset(
    (
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
LOW_BYTES = {
    kind + order: kind + other
    for kind in ("RGB;16", "RGBA;16")
    for order, other in (("B", "L"), ("L", "B"), ("N", "B" if sys.byteorder == "little" else "L"))
}
"""Pillow's layout with the low byte of each value in place of the high one, by the layout of the file."""


class Decoded(NamedTuple):
    """A decoded image, upright.

    Attributes:
        color: (H, W, 3), or (H, W, 1) for gray.
        opacity: (H, W, 1) in the type of the color: 0 is transparent. None: the file has none.
        profile: The ICC profile of the color. None: the file has none.
    """

    color: Pixels
    opacity: Pixels | None
    profile: bytes | None


class Picture:
    """The color of a decoded image, upright. Transparency is dropped: a pixel keeps its color, whatever its opacity.

    Args:
        data: An image in one of `FORMATS`. Of several frames, the first one counts.
        location: Its path, for messages.

    Attributes:
        height: Pixels from top to bottom.
        width: Pixels from left to right.

    Raises:
        DataError: It is not an image, damaged, or larger than Pillow's limit of pixels.
    """

    def __init__(self, data: bytes, location: str) -> None:
        self._image, self._deep = _loaded(data, location)
        self._location = location
        self._turn = _orientation(self._image)
        self.width, self.height = self._image.size if self._turn < 5 else self._image.size[::-1]

    def pixels(self) -> Pixels:
        """All pixels.

        Raises:
            DataError: The values of a 32-bit image are outside the range of images.
        """
        color = pixels_of(self._image, self._location) if self._deep is None else _color(self._deep)
        return _upright(color, self._turn)

    def square(self, top: int, left: int, size: int) -> Pixels:
        """A square that lies in the image. Raises what `pixels` raises."""
        if self._image.mode == "RGB" and self._deep is None and self._turn == 1:  # Copies only these pixels.
            return np.asarray(self._image.crop((left, top, left + size, top + size)))
        return self.pixels()[top : top + size, left : left + size]


def decode(data: bytes, location: str) -> Pixels:
    """All pixels of a `Picture`. Raises what it raises."""
    return Picture(data, location).pixels()


def decode_all(data: bytes, location: str) -> Decoded:
    """Decode an image with its opacity and its profile. Raises what `decode` raises."""
    image, deep = _loaded(data, location)
    return all_of(image, location, deep)


def all_of(image: Image.Image, location: str, deep: Pixels | None = None) -> Decoded:
    """The color, opacity and profile of an image that is decoded.

    Args:
        deep: All of its channels, where Pillow keeps 8 bits of 16.

    Raises:
        DataError: Its values are outside the range of images.
    """
    if deep is None:
        color, opacity = pixels_of(image, location), _opacity(image)
    else:
        color = _color(deep)
        opacity = deep[..., color.shape[2] :] if deep.shape[2] > color.shape[2] else None
    turn = _orientation(image)
    profile = image.info.get("icc_profile")
    return Decoded(_upright(color, turn), None if opacity is None else _upright(opacity, turn), profile or None)


def _loaded(data: bytes, location: str) -> tuple[Image.Image, Pixels | None]:
    """The image, and all channels of one with 16 bits in several, of which Pillow keeps 8."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # About metadata that cannot be read.
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            image = _open(data)
            rawmode = _rawmode(image)
            image.load()
            return image, _sixteen_bits(data, image, rawmode)
    except (Image.DecompressionBombWarning, Image.DecompressionBombError) as error:
        raise DataError(f"{location}: image is too large: {error} {REMOVE}") from error
    except UnidentifiedImageError as error:
        formats, found = ", ".join(sorted(set(FORMATS.values()))), "another format" if data else "an empty file"
        raise DataError(f"{location}: expected an image ({formats}), got {found}. {REMOVE}") from error
    except MemoryError:  # That of the machine: what the image declares is not too large.
        raise
    except Exception as error:  # Pillow's decoders raise exceptions of many types.
        raise DataError(f"{location}: image is damaged: {error}. {REMOVE}") from error


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


def _color(deep: Pixels) -> Pixels:
    return deep[..., :3] if deep.shape[2] > 2 else deep[..., :1]


def _opacity(image: Image.Image) -> Pixels | None:
    """The opacity of an image with at most 8 bits. None: it has none."""
    marked = "transparency" in image.info and image.mode in ("1", "L", "P", "RGB")
    if marked or image.mode in ("LA", "La", "PA", "RGBA", "RGBa"):
        return np.asarray(image.convert("RGBA"))[..., 3:]
    return None


def _rawmode(image: Any) -> str:
    """Pillow's name of the layout of the pixels in the file; "" if it has none."""
    layout = image.tile[0][3] if image.tile else ""
    layout = layout[0] if isinstance(layout, tuple) and layout else layout
    return layout if isinstance(layout, str) else ""


def _sixteen_bits(data: bytes, image: Image.Image, rawmode: str) -> Pixels | None:
    """All channels of a PNG or TIFF with 16 bits in several, of which Pillow keeps 8. None: another image."""
    if rawmode == "LA;16B":  # The four bytes of a pixel: gray and opacity, high byte first.
        quads = _decoded_as(data, "RGBA")
        return _joined(quads[..., ::2], quads[..., 1::2])
    if rawmode in LOW_BYTES:
        return _joined(np.asarray(image), _decoded_as(data, LOW_BYTES[rawmode]))
    return None


def _decoded_as(data: bytes, rawmode: str) -> Pixels:
    """Decode an image whose pixels have the layout that Pillow calls `rawmode`."""
    image = _open(data)
    image.tile = [_tile_as(tile, rawmode) for tile in image.tile]
    return np.asarray(image)


def _tile_as(tile: Any, rawmode: str) -> Any:
    args = (rawmode, *tile[3][1:]) if isinstance(tile[3], tuple) else rawmode
    return tile._replace(args=args) if hasattr(tile, "_replace") else (*tile[:3], args)  # Named since Pillow 11.


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
    return values_of(pixels).expand(3, -1, -1).contiguous()


def values_of(pixels: Pixels) -> Tensor:
    """Convert (H, W, C) to (C, H, W), float32 in 0..1."""
    white = np.float32(WHITE[pixels.dtype.name])
    return torch.from_numpy(np.divide(pixels.transpose(2, 0, 1), white, dtype=np.float32, order="C"))


def to_pixels(values: Tensor, bits: int = 8) -> Pixels:
    """Convert (..., C, H, W) to (..., H, W, C), uint8 or uint16. Values are clamped to 0..1, and NaN becomes 0."""
    kind = np.uint8 if bits == 8 else np.uint16
    scaled = values.detach().float().cpu().nan_to_num().clamp(0, 1).mul(WHITE[kind.__name__]).round()
    return np.ascontiguousarray(scaled.movedim(-3, -1).numpy().astype(kind))


def images_of(values: Tensor) -> list[NDArray[np.uint8]]:
    """The images (H, W, 3) of (B, 1 or 3, H, W) or (B, H, W) in 0..1. Empty: the values are not images."""
    images = values.unsqueeze(1) if values.dim() == 3 else values
    if images.dim() != 4 or images.shape[1] not in (1, 3) or not images.is_floating_point():
        return []
    return list(to_pixels(images.expand(-1, 3, -1, -1)))
