"""Text that breaks into lines, measured in a font that nobody has at hand."""

from __future__ import annotations

import pytest

from artschool.graph.lettering import text_width, wrap


def test_wide_letters_take_more_room_and_bold_ones_more_still() -> None:
    assert text_width("ill", 10) == pytest.approx(3 * 3.4)
    assert text_width("mmm", 10) == pytest.approx(30)
    assert text_width("mmm", 10, bold=True) > text_width("mmm", 10)
    assert text_width("好好", 10) == pytest.approx(20)


def test_lines_break_behind_spaces_underscores_and_the_like() -> None:
    assert wrap("aaa bbb_ccc.ddd", 10 * 0.64 * 5, 10) == ["aaa", "bbb_", "ccc.", "ddd"]  # Room for five letters.
    assert wrap("aaa bbb_ccc.ddd", 1000, 10) == ["aaa bbb_ccc.ddd"]


def test_a_long_word_breaks_anywhere_and_nothing_gets_lost() -> None:
    assert wrap("x" * 12, 10 * 0.64 * 5, 10) == ["xxxxx", "xxxxx", "xx"]
    assert wrap("WWW", 1, 10) == ["W", "W", "W"]  # At least a letter a line, where there is no room at all.
    assert wrap("", 10, 10) == [""]


def test_no_line_is_wider_than_the_room() -> None:
    text = "(16, 3, 64, 64) float32, a_key.with/all-kinds:of marks and Words"
    for room in range(20, 200, 7):
        lines = wrap(text, room, 11)
        assert "".join(lines).replace(" ", "") == text.replace(" ", "")
        assert max(text_width(line, 11) for line in lines) <= room
