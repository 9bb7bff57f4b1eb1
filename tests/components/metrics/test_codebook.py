"""How evenly a codebook is used."""

from __future__ import annotations

import pytest
import torch
from torch import tensor

from artschool import ranks
from artschool.components.metrics.codebook import CodebookPerplexity, CodebookUsage
from artschool.errors import ConfigError


def test_codes_used_equally_count_themselves() -> None:
    perplexity, usage = CodebookPerplexity(num_codes=8), CodebookUsage(num_codes=8)
    for metric in (perplexity, usage):
        metric.update(tensor([[0, 1], [2, 3]]))
    assert perplexity.compute() == pytest.approx(4.0)
    assert usage.compute() == 0.5


def test_unequal_batches_count_by_their_codes() -> None:
    metric = CodebookPerplexity(num_codes=2)
    metric.update(tensor([0, 0, 0]))
    metric.update(tensor([1]))
    assert metric.compute() == pytest.approx(0.75**-0.75 * 0.25**-0.25)
    metric.reset()
    metric.update(tensor([1]))
    assert metric.compute() == 1.0


def test_all_processes_are_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    metric = CodebookUsage(num_codes=4)
    metric.update(tensor([0]))
    monkeypatch.setattr(ranks, "gather", lambda value: [value, torch.tensor([0, 2, 1, 0])])
    assert metric.compute() == 0.75


def test_a_code_beyond_the_codebook_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"^codes must be below num_codes, 4, got 6$"):
        CodebookUsage(num_codes=4).update(tensor([1, 6]))


def test_what_is_no_code_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"^codes must be whole numbers, got float32$"):
        CodebookUsage(num_codes=4).update(tensor([1.0]))
