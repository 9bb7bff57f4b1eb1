"""Texts as token numbers, by a tokenizer of the package tokenizers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from artschool.errors import DataError, ResourceError


class TextTokens:
    """Turns each text into the same number of tokens: cut, or padded with the tokenizer's own padding or zeros.

    Args:
        path: `tokenizer.json` of a model, or its folder. None: every text has no tokens.
        length: Number of tokens of a text.

    Raises:
        DataError: The file does not exist or is no tokenizer.
        ResourceError: tokenizers is not installed.
    """

    def __init__(self, path: Path | None, length: int) -> None:
        self._tokenizer = None if path is None else _load(path / "tokenizer.json" if path.is_dir() else path)
        if self._tokenizer is not None:
            padding = {**(self._tokenizer.padding or {}), "length": length, "pad_to_multiple_of": None}
            self._tokenizer.enable_truncation(length)
            self._tokenizer.enable_padding(**padding)

    def __call__(self, text: str) -> Tensor:
        """Return the numbers of the tokens, (length,), int64."""
        # One text at a time: for a batch, the package starts threads, which do not survive a fork.
        return torch.tensor([] if self._tokenizer is None else self._tokenizer.encode(text).ids, dtype=torch.int64)


def _load(file: Path) -> Any:
    try:
        from tokenizers import Tokenizer
    except ModuleNotFoundError as error:
        raise ResourceError(
            "the option `tokenizer` requires tokenizers, which is not installed. "
            "Fix: pip install 'artschool[tokenizers]'"
        ) from error
    if not file.is_file():
        raise DataError(f"captioned_folder: tokenizer {file} does not exist. Fix: correct the path")
    try:
        return Tokenizer.from_file(str(file))
    except Exception as error:  # The package raises nothing more specific.
        raise DataError(f"captioned_folder: {file}: expected a tokenizer.json, got: {error}") from None
