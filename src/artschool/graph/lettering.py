"""How much room text takes in a drawing, and where it breaks. Nothing here knows which font will be at hand."""

from __future__ import annotations

import re

PIECES = re.compile(r"[^\s_,./:-]*[\s_,./:-]|[^\s_,./:-]+")
"""Text breaks behind these marks."""
WIDTHS = {letter: width for letters, width in (("'ijlIJ .,:;/|\\", 0.34), ("frt()[]!-", 0.41)) for letter in letters}
BOLD = 1.13


def text_width(text: str, size: float, *, bold: bool = False) -> float:
    """How wide a text is at most, in the unit of the font's size: as in DejaVu Sans, which is wide among its kind."""
    return sum(map(_letter_width, text)) * size * (BOLD if bold else 1.0)


def wrap(text: str, room: float, size: float, *, bold: bool = False) -> list[str]:
    """A text in lines that are no wider than the room there is; a long word breaks anywhere."""
    lines = [""]
    for piece in PIECES.findall(text):
        if lines[-1] and text_width((lines[-1] + piece).rstrip(), size, bold=bold) > room:
            lines.append("")
        for letter in piece if lines[-1] else piece.lstrip():
            if lines[-1] and text_width(lines[-1] + letter.strip(), size, bold=bold) > room:
                lines.append("")
            lines[-1] += letter
    return [line.rstrip() for line in lines]


def _letter_width(letter: str) -> float:
    """In heights of the font."""
    if letter in "mwMW@%#&+<=>^~" or not letter.isascii():
        return 1.0
    return WIDTHS.get(letter, 0.8 if letter.isupper() else 0.64)
