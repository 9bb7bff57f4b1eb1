"""Text as numbers, and back."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path

from artschool.components.audio.transcripts import read_transcripts
from artschool.errors import ConfigError, DataError


class Tokenizer:
    """Cuts text into tokens, the longest that fits first.

    Args:
        numbers: Token to its number. 0 is left to padding and to the blank of CTC.
        source: Where the tokens are from, for errors.
    """

    def __init__(self, numbers: Mapping[str, int], source: str) -> None:
        self._numbers = dict(numbers)
        self._tokens = {number: token for token, number in numbers.items()}
        self._source = source
        self._longest = max(map(len, numbers))

    def encode(self, text: str) -> list[int]:
        """The numbers of a text's tokens.

        Raises:
            DataError: A character of it begins no token.
        """
        numbers = []
        start = 0
        while start < len(text):
            ends = range(min(start + self._longest, len(text)), start, -1)
            end = next((end for end in ends if text[start:end] in self._numbers), None)
            if end is None:
                raise DataError(f"{text!r} has {text[start]!r}, which is no token of {self._source}; add it there")
            numbers.append(self._numbers[text[start:end]])
            start = end
        return numbers

    def decode(self, numbers: Iterable[int]) -> str:
        """The text of numbers; those that are no token are left out."""
        return "".join(self._tokens.get(number, "") for number in numbers)


def make_tokenizer(alphabet: str | None, vocabulary: Path | None) -> Tokenizer:
    """A tokenizer from what stands in the file.

    Args:
        alphabet: Characters, numbered from 1 in their order.
        vocabulary: A `.json` file: a list of tokens, numbered from 1, or a mapping of tokens to numbers. Or a list of
            utterances, all characters of whose texts are the alphabet, sorted.

    Raises:
        ConfigError: Not one of the two, or a character stands twice.
        DataError: The file cannot be used.
    """
    if (alphabet is None) == (vocabulary is None):
        raise ConfigError("text needs either `alphabet`, its characters, or `vocabulary`, a file")
    if alphabet is not None:
        if twice := {character for character in alphabet if alphabet.count(character) > 1}:
            raise ConfigError(f"the alphabet has {', '.join(map(repr, sorted(twice)))} more than once")
        return Tokenizer(_count_from_one(alphabet), f"the alphabet {alphabet!r}")
    assert vocabulary is not None
    if vocabulary.suffix == ".json":
        return Tokenizer(_read_json(vocabulary), str(vocabulary))
    characters = {character for _, text in read_transcripts(vocabulary) for character in text}
    return Tokenizer(_count_from_one(sorted(characters)), str(vocabulary))


def _count_from_one(tokens: Iterable[str]) -> dict[str, int]:
    return {token: number for number, token in enumerate(tokens, start=1)}


def _read_json(file: Path) -> dict[str, int]:
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise DataError(f"there is no vocabulary {file}") from None
    except ValueError as error:
        raise DataError(f"{file} is no JSON: {error}") from None
    if isinstance(content, list) and all(isinstance(token, str) and token for token in content):
        content = _count_from_one(content)
    numbers = list(content.values()) if isinstance(content, dict) else []
    if not numbers or "" in content or not all(isinstance(number, int) and number > 0 for number in numbers):
        raise DataError(f"{file} should be a list of tokens, or a mapping of tokens to whole numbers from 1 on")
    if len(set(numbers)) < len(numbers):
        raise DataError(f"{file} gives one number to several tokens")
    return dict(content)
