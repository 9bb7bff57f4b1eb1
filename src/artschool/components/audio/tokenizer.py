"""Conversion between text and token numbers."""

from __future__ import annotations

import json
import textwrap
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from artschool.components.audio.transcripts import missing_message, read_transcripts
from artschool.errors import ConfigError, DataError


class Tokenizer:
    """Splits text into tokens; the longest match comes first.

    Args:
        numbers: Token to its number. 0 is reserved for padding and the blank of CTC.
        source: Origin of the tokens, for errors.
    """

    def __init__(self, numbers: Mapping[str, int], source: str) -> None:
        self._numbers = dict(numbers)
        self._tokens = {number: token for token, number in numbers.items()}
        self._source = source
        self._longest = max(map(len, numbers))

    def encode(self, text: str) -> list[int]:
        """Return the numbers of the tokens of a text.

        Raises:
            DataError: No token starts at a character of the text.
        """
        numbers = []
        start = 0
        while start < len(text):
            ends = range(min(start + self._longest, len(text)), start, -1)
            end = next((end for end in ends if text[start:end] in self._numbers), None)
            if end is None:
                raise DataError(
                    f"text {text!r}: no token for {text[start]!r} in {self._source}. Fix: add one, or correct the text"
                )
            numbers.append(self._numbers[text[start:end]])
            start = end
        return numbers

    def decode(self, numbers: Iterable[int]) -> str:
        """Return the text of token numbers; unknown numbers are skipped."""
        return "".join(self._tokens.get(number, "") for number in numbers)


def make_tokenizer(alphabet: str | None, vocabulary: Path | None, columns: Sequence[str] | None = None) -> Tokenizer:
    """Make a tokenizer from the options `alphabet` and `vocabulary`, of which exactly one is given.

    Args:
        alphabet: Characters, numbered from 1 in this order.
        vocabulary: A `.json` file with a list of tokens, numbered from 1, or a mapping from token to number. Or a list
            of utterances, the sorted characters of whose texts are the alphabet.
        columns: The columns of that list. None: guessed from it.

    Raises:
        ConfigError: Both or neither are given, or the alphabet has a duplicate character.
        DataError: The file does not exist or has other contents.
    """
    if (alphabet is None) == (vocabulary is None):
        found = "neither" if alphabet is None else "both"
        raise ConfigError(f"expected either `alphabet` (characters) or `vocabulary` (a file), got {found}")
    if alphabet is not None:
        if duplicates := _duplicates(alphabet):
            raise ConfigError(f"alphabet: duplicate characters {', '.join(map(repr, duplicates))}")
        return Tokenizer(_count_from_one(alphabet), f"the alphabet {alphabet!r}")
    assert vocabulary is not None
    if vocabulary.suffix.lower() == ".json":
        return Tokenizer(_read_json(vocabulary), f"the vocabulary {vocabulary}")
    characters = {character for row in read_transcripts(vocabulary, columns).rows for character in row.text}
    return Tokenizer(_count_from_one(sorted(characters)), f"the vocabulary {vocabulary}")


def _count_from_one(tokens: Iterable[str]) -> dict[str, int]:
    return {token: number for number, token in enumerate(tokens, start=1)}


def _duplicates(items: Iterable[Any]) -> list[Any]:
    return sorted(item for item, count in Counter(items).items() if count > 1)


def _mapping(file: Path, pairs: Iterable[tuple[str, Any]]) -> dict[str, Any]:
    pairs = list(pairs)
    if duplicates := _duplicates(token for token, _ in pairs):
        listed = ", ".join(map(repr, duplicates))
        raise DataError(f"{file}: duplicate tokens {listed}. Fix: remove all but one of each")
    return dict(pairs)


def _read_json(file: Path) -> dict[str, int]:
    try:
        content = json.loads(file.read_text(encoding="utf-8-sig"), object_pairs_hook=partial(_mapping, file))
    except FileNotFoundError:
        raise DataError(missing_message(f"vocabulary {file}", None)) from None
    except ValueError as error:
        raise DataError(f"{file}: invalid JSON: {error}") from None
    if isinstance(content, list) and all(isinstance(token, str) and token for token in content):
        content = _mapping(file, zip(content, range(1, len(content) + 1), strict=True))
    numbers = list(content.values()) if isinstance(content, dict) else []
    if not numbers or "" in content or not all(type(number) is int and number > 0 for number in numbers):
        raise DataError(
            f"{file}: expected a list of tokens, or a mapping from tokens to whole numbers of 1 or more, "
            f"got {textwrap.shorten(repr(content), 80, placeholder=' ...')}"
        )
    if duplicates := _duplicates(numbers):
        raise DataError(f"{file}: duplicate numbers {', '.join(map(str, duplicates))}. Fix: give each token its own")
    return dict(content)
