"""The exchange of gradients between two processes, and none with one."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import nn

from artschool import ranks
from artschool.engine.exchange import Exchange
from tests.engine.forked import run_script


@pytest.mark.slow
def test_two_processes_exchange_gradients(tmp_path: Path) -> None:
    """Over five seconds: a process imports torch. The cases are the functions of `exchanged.py`."""
    run_script("tests.engine.exchanged", tmp_path)


def test_one_process_has_no_hooks_and_keeps_its_gradients() -> None:
    parameter = nn.Parameter(torch.ones(2))
    exchange = Exchange("main", [parameter])
    exchange.start([parameter])
    with exchange.part(is_last=True):
        parameter.sum().backward()  # type: ignore[no-untyped-call]  # torch
    gradient = parameter.grad
    exchange.finish()
    assert parameter.grad is gradient
    assert not parameter._post_accumulate_grad_hooks


@pytest.mark.parametrize(("limit", "first", "sizes"), [(8, None, [2, 1, 3]), (8, 4, [1, 2, 3]), (100, None, [6])])
def test_buckets_have_a_maximum_size(limit: int, first: int | None, sizes: list[int]) -> None:
    tensors = [torch.zeros(n) for n in ((1, 1, 1, 3) if sizes[0] != 6 else (6,))]
    found = ranks.buckets(tensors, limit, first)
    assert [sum(t.numel() for t in bucket) for bucket in found] == sizes


def test_a_bucket_has_one_dtype() -> None:
    tensors = [torch.zeros(1), torch.zeros(1, dtype=torch.int64), torch.ones(1)]
    assert [[t.dtype for t in b] for b in ranks.buckets(tensors)] == [[torch.float32, torch.float32], [torch.int64]]
