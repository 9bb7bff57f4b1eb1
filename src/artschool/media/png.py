"""PNG with 16 bits per channel, which Pillow writes for gray alone."""

from __future__ import annotations

import struct
import zlib

import numpy as np

from artschool.media.pixels import Pixels

COLOR_TYPES = {1: 0, 2: 4, 3: 2, 4: 6}
"""PNG's number for gray, gray and opacity, RGB, and RGB and opacity, by number of channels."""
SUB = 1
"""The filter that stores each pixel as its difference to the one on its left."""


def encode_deep(pixels: Pixels, profile: bytes | None = None) -> bytes:
    """Encode uint16 pixels (H, W, C).

    Source: PNG (Third Edition), W3C Recommendation, www.w3.org/TR/png-3.
    """
    height, width, channels = pixels.shape
    rows = np.ascontiguousarray(pixels, dtype=">u2").view(np.uint8).reshape(height, -1)
    filtered = np.full((height, 1 + rows.shape[1]), SUB, np.uint8)
    filtered[:, 1:] = rows
    filtered[:, 1 + 2 * channels :] -= rows[:, : -2 * channels]
    header = struct.pack(">IIBBBBB", width, height, 16, COLOR_TYPES[channels], 0, 0, 0)
    chunks = [(b"IHDR", header)]
    if profile is not None:
        chunks.append((b"iCCP", b"ICC profile\0\0" + zlib.compress(profile)))
    chunks += [(b"IDAT", zlib.compress(filtered.tobytes(), 6)), (b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(_chunk(*chunk) for chunk in chunks)


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
