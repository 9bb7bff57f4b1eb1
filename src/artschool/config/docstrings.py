"""Reads the text about each argument from a docstring."""

from __future__ import annotations

import inspect
import re
import textwrap

from artschool.registry import Registered

ARGUMENTS = "Args|Arguments|Keyword Args|Keyword Arguments|Attributes|Parameters"
BLOCK = r"^(?:{}):[ \t]*\n((?:[ \t]+.*\n?|\n)+)"
DIRECTIVE = r"^\.\. .*\n(?:[ \t]+.*\n?|\n)*"
"""Directives of Sphinx in the docstrings of torch, such as formulas and notes."""
ARGUMENT = re.compile(r"^\*{0,2}(\w+(?:, \w+)*)(?: \([^\n]*?\))? ?:\s+", re.M)
SPHINX = re.compile(r"^:param (?:\S+ )?(\w+):\s+((?:.*\n?)(?:[ \t]+.*\n?)*)", re.M)


def documented(component: Registered) -> dict[str, str]:
    """The text of each parameter of a component, also of those that it inherits."""
    return {name: text for docstring in component.documentations for name, text in arguments(docstring).items()}


def arguments(docstring: str) -> dict[str, str]:
    """The text of each argument, on one line.

    Reads the styles of Google (`Args:`) and Sphinx (`:param name:`).
    """
    docstring = inspect.cleandoc(docstring)
    texts = {name: unwrapped(text) for name, text in SPHINX.findall(docstring)}
    for block in re.findall(BLOCK.format(ARGUMENTS), docstring, re.MULTILINE):
        parts = ARGUMENT.split(textwrap.dedent(block))
        for names, text in zip(parts[1::2], parts[2::2], strict=True):
            texts |= dict.fromkeys(names.split(", "), unwrapped(text))
    return texts


def without_arguments(docstring: str) -> str:
    """The docstring without its arguments, exceptions and directives, each paragraph on one line."""
    rest = re.sub(DIRECTIVE, "", inspect.cleandoc(docstring), flags=re.MULTILINE)
    rest = re.sub(BLOCK.format(f"{ARGUMENTS}|Raises"), "", SPHINX.sub("", rest), flags=re.MULTILINE)
    return "\n\n".join(unwrapped(paragraph) for paragraph in re.split(r"\n\s*\n", rest) if paragraph.strip())


def attributes(model: type) -> dict[str, str]:
    """The text of each attribute in the docstrings of a class and its bases."""
    return {name: text for cls in reversed(model.__mro__) for name, text in arguments(cls.__doc__ or "").items()}


def unwrapped(text: str) -> str:
    """The text on one line."""
    return " ".join(text.split())
