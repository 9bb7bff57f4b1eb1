"""Applies a function to an image that is a file, an image of Pillow or an array, and gives the same kind back."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import PIL.Image
from numpy.typing import NDArray

from artschool.apply.applied import Applied
from artschool.errors import DataError
from artschool.media.images import Image, image_of, pixels_with_alpha, read_image
from artschool.media.pixels import Decoded, all_of


def apply_to_object(applied: Applied, value: Any) -> Any:
    """Apply a function to an image.

    Args:
        value: The path of a file; an image of Pillow; or an array (H, W) or (H, W, C), uint8 or uint16, of gray or RGB,
            with opacity as a further channel if it has any.

    Returns:
        For an array, an array of its data type. Otherwise, an image of Pillow, which has 8 bits. If the results are not
        images, a tensor.

    Raises:
        DataError: It is none of these, or cannot be read.
    """
    image = _image(value)
    if not applied.makes_images:
        return applied(image.color[None])[0]
    result = applied.images([image])[0]
    is_array = isinstance(value, np.ndarray)
    pixels = pixels_with_alpha(result, image.bits if is_array else 8)
    pixels = pixels[..., 0] if pixels.shape[2] == 1 and not (is_array and value.ndim == 3) else pixels
    return pixels if is_array else PIL.Image.fromarray(pixels)


def _image(value: Any) -> Image:
    if isinstance(value, str | Path):
        return read_image(Path(value).expanduser())
    if isinstance(value, PIL.Image.Image):
        return image_of(all_of(value, "the image"))
    if isinstance(value, np.ndarray):
        return _of_array(value)
    raise DataError(f"expected a tensor, an array, an image of Pillow or a path, got {type(value).__name__}")


def _of_array(value: NDArray[Any]) -> Image:
    pixels = value[..., None] if value.ndim == 2 else value
    if pixels.ndim != 3 or pixels.shape[2] not in (1, 2, 3, 4) or value.dtype not in (np.uint8, np.uint16):
        raise DataError(
            f"expected an image (H, W) or (H, W, 1 to 4), uint8 or uint16, got {value.shape}, {value.dtype}"
        )
    colors = 1 if pixels.shape[2] < 3 else 3
    opacity = pixels[..., colors:] if pixels.shape[2] > colors else None
    return image_of(Decoded(pixels[..., :colors], opacity, None))
