"""Estimated width of text in a drawing, and line breaks. The font of the viewer is unknown."""

from __future__ import annotations

import re

PIECES = re.compile(r"[^\s_,./:-]*[\s_,./:-]|[^\s_,./:-]+")
"""Pieces of text between which a line may break: after a space or a mark."""
WIDTHS = {letter: width for letters, width in (("'ijlIJ .,:;/|\\", 0.34), ("frt()[]!-", 0.41)) for letter in letters}
BOLD = 1.13


def text_width(text: str, size: float, *, bold: bool = False) -> float:
    """An upper bound for the width of a text, in the unit of `size`. DejaVu Sans, a wide font, is the reference."""
    return sum(map(_letter_width, text)) * size * (BOLD if bold else 1.0)


def wrap(text: str, room: float, size: float, *, bold: bool = False) -> list[str]:
    """Break a text into lines that are at most `room` wide. A word that is too long breaks anywhere."""
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
    """Width of a letter as a fraction of the font size."""
    if letter in "mwMW@%#&+<=>^~" or not letter.isascii():
        return 1.0
    return WIDTHS.get(letter, 0.8 if letter.isupper() else 0.64)
