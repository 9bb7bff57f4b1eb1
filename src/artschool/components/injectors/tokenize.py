"""Texts as token numbers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from artschool.components.datasets.tokens import TextTokens
from artschool.errors import ConfigError
from artschool.registry import injectors
from artschool.registry.signature import Context, Count, Text


@injectors.register
class Tokenize:
    """Turn texts into token numbers by a tokenizer of a Hugging Face model.

    Args:
        file: `tokenizer.json` of the model, or its folder.
        length: Number of tokens of a text, special ones included, to which it is cut or padded. The padding is that of
            the file, or 0 if it has none.

    Raises:
        DataError: The file does not exist or is no tokenizer.
        ResourceError: tokenizers is not installed.
    """

    def __init__(self, *, file: Path, length: Count = 77) -> None:
        self._tokens = TextTokens(file, length, owner="tokenize")

    def __call__(self, text: Text, context: Context) -> tuple[Tensor, Tensor]:
        """Tokenize.

        Args:
            text: A text per sample.
            context: Gives the device.

        Returns:
            Numbers of the tokens (B, length), and 1 for each of them and 0 for padding (B, length), both int64.

        Raises:
            ConfigError: The key has something else than texts.
        """
        if not all(isinstance(each, str) for each in text):
            raise ConfigError(f"tokenize: expected a list of texts, got {type(text).__name__}")
        numbers, mask = zip(*map(self._tokens.encode, text), strict=True)
        return _on(context.device, numbers), _on(context.device, mask)


def _on(device: torch.device, rows: Any) -> Tensor:
    """A tensor on a device, which this process does not wait for: it copies from pinned memory."""
    tensor = torch.tensor(rows)
    return (tensor.pin_memory() if device.type == "cuda" else tensor).to(device, non_blocking=True)
