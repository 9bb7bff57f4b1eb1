"""Texts as token numbers, by a tokenizer of the package tokenizers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from artschool.errors import DataError
from artschool.extras import extra
from artschool.paths import is_dir, is_file


class TextTokens:
    """Turns each text into the same number of tokens: cut, or padded with the tokenizer's own padding or zeros.

    Args:
        path: `tokenizer.json` of a model, or its folder. None: every text has no tokens.
        length: Number of tokens of a text.
        owner: Name of the component, for errors.

    Raises:
        DataError: The file does not exist or is no tokenizer.
        ResourceError: tokenizers is not installed.
    """

    def __init__(self, path: Path | None, length: int, *, owner: str) -> None:
        self._tokenizer = None if path is None else _load(path / "tokenizer.json" if is_dir(path) else path, owner)
        if self._tokenizer is not None:
            padding = {**(self._tokenizer.padding or {}), "length": length, "pad_to_multiple_of": None}
            self._tokenizer.enable_truncation(length)
            self._tokenizer.enable_padding(**padding)

    def __call__(self, text: str) -> Tensor:
        """Return the numbers of the tokens, (length,), int64."""
        return torch.tensor(self.encode(text)[0], dtype=torch.int64)

    def encode(self, text: str) -> tuple[list[int], list[int]]:
        """Return the numbers of the tokens, and for each of them 1, or 0 for padding."""
        if self._tokenizer is None:
            return [], []
        # One text at a time: for a batch, the package starts threads, which do not survive a fork.
        encoding = self._tokenizer.encode(text)
        return encoding.ids, encoding.attention_mask


def _load(file: Path, owner: str) -> Any:
    with extra("tokenizers", f"the tokenizer of {owner}"):
        from tokenizers import Tokenizer
    if not is_file(file):
        raise DataError(f"{owner}: tokenizer {file} does not exist. Fix: correct the path")
    try:
        return Tokenizer.from_file(str(file))
    except Exception as error:  # The package raises nothing more specific.
        raise DataError(f"{owner}: {file}: expected a tokenizer.json, got: {error}") from None
