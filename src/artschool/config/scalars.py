"""Plain scalars of the core schema of YAML 1.2, unlike PyYAML's: `1e-4` is a number, `on` is text, `012` is 12.

Source: YAML 1.2.2, section 10.3.2.
"""

from __future__ import annotations

import re

Scalar = None | bool | int | float | str

WORDS: dict[str, Scalar] = {
    **dict.fromkeys(("", "~", "null", "Null", "NULL")),
    **dict.fromkeys(("true", "True", "TRUE"), True),
    **dict.fromkeys(("false", "False", "FALSE"), False),
    **dict.fromkeys((".inf", ".Inf", ".INF", "+.inf", "+.Inf", "+.INF"), float("inf")),
    **dict.fromkeys(("-.inf", "-.Inf", "-.INF"), float("-inf")),
    **dict.fromkeys((".nan", ".NaN", ".NAN"), float("nan")),
}
OLD_WORDS: dict[str, Scalar] = {
    **WORDS,
    **{form(word): True for word in ("yes", "on") for form in (str.lower, str.title, str.upper)},
    **{form(word): False for word in ("no", "off") for form in (str.lower, str.title, str.upper)},
}
"""The words of YAML 1.1, which has more booleans."""
INTEGER = re.compile(r"[-+]?[0-9]+")
OCTAL = re.compile(r"0o[0-7]+")
HEXADECIMAL = re.compile(r"0x[0-9a-fA-F]+")
FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?")
MAX_DIGITS = 400


def resolve(text: str, *, yaml11: bool = False) -> Scalar:
    """The value of an unquoted scalar.

    Args:
        yaml11: Whether `yes`, `no`, `on` and `off` are booleans, as files written for YAML 1.1 expect.
    """
    words = OLD_WORDS if yaml11 else WORDS
    if text in words:
        return words[text]
    return text if len(text) > MAX_DIGITS else _number(text)


def _number(text: str) -> int | float | str:
    """The number that a text is, or the text itself."""
    if INTEGER.fullmatch(text):
        return int(text)
    if OCTAL.fullmatch(text):
        return int(text[2:], 8)
    if HEXADECIMAL.fullmatch(text):
        return int(text[2:], 16)
    return float(text) if FLOAT.fullmatch(text) else text


def needs_quotes(text: str) -> bool:
    """Whether unquoted text would be read as another value, here or by a reader of YAML 1.1."""
    if not isinstance(resolve(text, yaml11=True), str) or text != text.strip() or not text.isprintable():
        return True
    if text[0] in "!&*?|>@`\"'%#{}[],-:~=<" or re.search(r"[,\[\]{}]|: | #|:$", text):
        return True
    # YAML 1.1 also has 1_000, minutes 1:30, dates and times.
    return re.fullmatch(r"[-+]?[0-9][-0-9_:.+TtZz ]*", text) is not None
