"""Texts as token numbers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from tokenizers import Tokenizer, models, pre_tokenizers, processors

from artschool.components.injectors.tokenize import Tokenize
from artschool.engine.meters import Meters
from artschool.engine.train_context import TrainContext
from artschool.errors import ConfigError, DataError
from artschool.registry.context import Context


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """Words from 3 on, between <s> (1) and </s> (2)."""
    words = Tokenizer(models.WordLevel({"?": 0, "<s>": 1, "</s>": 2, "a": 3, "red": 4, "cat": 5}, unk_token="?"))
    words.pre_tokenizer = pre_tokenizers.Whitespace()
    words.post_processor = processors.TemplateProcessing("<s> $A </s>", special_tokens=[("<s>", 1), ("</s>", 2)])
    words.save(str(tmp_path / "tokenizer.json"))
    return tmp_path / "tokenizer.json"


def tokenized(file: Path, texts: Any, length: int) -> tuple[list[Any], list[Any]]:
    context = Context(TrainContext(torch.device("cpu"), Meters()), "")
    tokens, mask = Tokenize(file=file, length=length)(texts, context)
    assert tokens.dtype is mask.dtype is torch.int64
    return tokens.tolist(), mask.tolist()


def test_texts_are_padded_or_cut_with_their_special_tokens(file: Path) -> None:
    tokens, mask = tokenized(file, ["a cat", "a red cat", "dog", ""], 4)
    assert tokens == [[1, 3, 5, 2], [1, 3, 4, 2], [1, 0, 2, 0], [1, 2, 0, 0]]
    assert mask == [[1, 1, 1, 1], [1, 1, 1, 1], [1, 1, 1, 0], [1, 1, 0, 0]]


def test_the_padding_is_that_of_the_file_and_a_folder_has_one(file: Path) -> None:
    words = Tokenizer.from_file(str(file))
    words.enable_padding(pad_id=2, pad_token="</s>", length=9)
    words.save(str(file))
    assert tokenized(file.parent, ["cat"], 5) == ([[1, 5, 2, 2, 2]], [[1, 1, 1, 0, 0]])


def test_what_is_no_text_or_no_tokenizer_is_refused(file: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"^tokenize: expected a list of texts, got Tensor$"):
        tokenized(file, torch.zeros(2), 4)
    with pytest.raises(DataError, match=r"^tokenize: tokenizer .*none\.json does not exist\. Fix: correct the path$"):
        Tokenize(file=tmp_path / "none.json")
