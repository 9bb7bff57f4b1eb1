"""Images side by side in one, with a line of text under each."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

from artschool.media.pixels import images_of

GAP = 2
FONT_SIZE = 12
LINE = 16
"""Height of a line of text in pixels."""
WIDEST = 160
"""Width in pixels up to which a narrower image gets room for its text. Longer texts are cut."""


def grid(values: Tensor, captions: Sequence[str] = ()) -> NDArray[np.uint8] | None:
    """Arrange images in a grid that is as square as possible.

    Args:
        values: (B, 3, H, W), (B, 1, H, W) or (B, H, W). Values are clamped to 0..1.
        captions: A text for each image, drawn below it. Empty: no texts.

    Returns:
        (rows * H, columns * W, 3), plus a gap of two white pixels between images. Captions add 16 pixels to the height
        of each row, and widen columns of images that are narrower than their text. None: the values are not images.
    """
    cells = images_of(values)
    if not cells:
        return None
    if captions:
        cells = _captioned(cells, captions)
    columns = math.ceil(math.sqrt(len(cells)))
    rows = math.ceil(len(cells) / columns)
    height, width = cells[0].shape[:2]
    sheet = np.full((rows * (height + GAP) - GAP, columns * (width + GAP) - GAP, 3), 255, dtype=np.uint8)
    for index, cell in enumerate(cells):
        top, left = index // columns * (height + GAP), index % columns * (width + GAP)
        sheet[top : top + height, left : left + width] = cell
    return sheet


def _captioned(images: Sequence[NDArray[np.uint8]], captions: Sequence[str]) -> list[NDArray[np.uint8]]:
    """Add a line of text below each image, in the middle."""
    font = ImageFont.load_default(FONT_SIZE)
    texts = [" ".join(caption.split()) for caption in captions]
    height, width = images[0].shape[:2]
    room = max(width, min(WIDEST, max(math.ceil(font.getlength(text)) for text in texts)))
    left = (room - width) // 2
    cells = []
    for image, text in zip(images, texts, strict=True):
        cell = np.full((height + LINE, room, 3), 255, dtype=np.uint8)
        cell[:height, left : left + width] = image
        cell[height:] = _line(_cut(text, font, room), font, room)
        cells.append(cell)
    return cells


def _line(text: str, font: ImageFont.FreeTypeFont | ImageFont.ImageFont, width: int) -> NDArray[np.uint8]:
    image = Image.new("RGB", (width, LINE), "white")
    ImageDraw.Draw(image).text(((width - font.getlength(text)) // 2, 0), text, fill="black", font=font)
    return np.asarray(image)


def _cut(text: str, font: ImageFont.FreeTypeFont | ImageFont.ImageFont, width: int) -> str:
    """The text, or as much of its start as fits with an ellipsis."""
    if font.getlength(text) <= width:
        return text
    ends = range(len(text), -1, -1)
    return next((f"{text[:end]}..." for end in ends if font.getlength(f"{text[:end]}...") <= width), "")
