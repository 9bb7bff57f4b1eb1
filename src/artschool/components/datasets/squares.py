"""Squares of images: the largest one in the center, reduced by the mean over areas."""

from __future__ import annotations

from itertools import pairwise

import numpy as np

from artschool.errors import DataError
from artschool.media.pixels import WHITE, Pixels


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
