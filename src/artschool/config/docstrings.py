"""What a docstring says of each argument."""

from __future__ import annotations

import inspect
import re
import textwrap

from artschool.registry import Registered

ARGUMENTS = "Args|Arguments|Keyword Args|Keyword Arguments|Attributes|Parameters"
BLOCK = r"^(?:{}):[ \t]*\n((?:[ \t]+.*\n?|\n)+)"
DIRECTIVE = r"^\.\. .*\n(?:[ \t]+.*\n?|\n)*"
"""Formulas and notes of Sphinx, in the documentation of torch."""
ARGUMENT = re.compile(r"^\*{0,2}(\w+(?:, \w+)*)(?: \([^\n]*?\))? ?:\s+", re.M)
SPHINX = re.compile(r"^:param (?:\S+ )?(\w+):\s+((?:.*\n?)(?:[ \t]+.*\n?)*)", re.M)


def documented(component: Registered) -> dict[str, str]:
    """The text of each parameter of a component; one that it inherits is documented where it stands."""
    return {name: text for each in component.documentations for name, text in arguments(each).items()}


def arguments(docstring: str) -> dict[str, str]:
    """The text of each argument, in one line.

    Understands the style of Google (`Args:`) and that of Sphinx (`:param name:`).
    """
    docstring = inspect.cleandoc(docstring)
    texts = {name: unwrapped(text) for name, text in SPHINX.findall(docstring)}
    for block in re.findall(BLOCK.format(ARGUMENTS), docstring, re.MULTILINE):
        parts = ARGUMENT.split(textwrap.dedent(block))
        for names, text in zip(parts[1::2], parts[2::2], strict=True):
            texts |= dict.fromkeys(names.split(", "), unwrapped(text))
    return texts


def without_arguments(docstring: str) -> str:
    """What a user of the component reads besides, each paragraph in one line."""
    rest = re.sub(DIRECTIVE, "", inspect.cleandoc(docstring), flags=re.MULTILINE)
    rest = re.sub(BLOCK.format(f"{ARGUMENTS}|Raises"), "", SPHINX.sub("", rest), flags=re.MULTILINE)
    return "\n\n".join(unwrapped(paragraph) for paragraph in re.split(r"\n\s*\n", rest) if paragraph.strip())


def attributes(model: type) -> dict[str, str]:
    """What the docstrings of a class and of those it inherits from say of each attribute."""
    return {name: text for each in reversed(model.__mro__) for name, text in arguments(each.__doc__ or "").items()}


def unwrapped(text: str) -> str:
    """In one line."""
    return " ".join(text.split())
