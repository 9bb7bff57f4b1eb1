"""Sharded networks in half precision: gathered in 16 bits, they compute what replicated ones do."""

from __future__ import annotations

from pathlib import Path

import pytest
from torch import nn

from artschool.engine.gathered import is_lowered
from tests.engine.test_sharding import BOTH, CODER, PLAIN, SHARD, assert_restored, assert_same, sharded
from tests.engine.toy_run import write

NO_AVERAGES = "evaluate.held_out.ema=false"


@pytest.mark.soak
def test_two_processes_compute_what_replicated_networks_do(tmp_path: Path) -> None:
    """Over fifteen seconds: two processes train eight times."""
    cases = {
        "bf16": (BOTH, (*PLAIN, "train.precision=bf16", "train.accumulate=2")),
        "evaluated": (BOTH, (*PLAIN, "train.precision=bf16", NO_AVERAGES)),
        "fp16": (BOTH, (*PLAIN, "train.precision=fp16", NO_AVERAGES)),
        "methods": (CODER, ("train.precision=bf16", NO_AVERAGES)),
    }
    paths = {}
    for name, (text, overrides) in cases.items():
        (tmp_path / name).mkdir()
        paths[name] = write(tmp_path / name, *overrides, text=text)
    replicated = {f"{name}_replicated": (path, ("train.parallel=replicate",)) for name, path in paths.items()}
    results = sharded(tmp_path, 2, {**replicated, **{name: (path, (SHARD,)) for name, path in paths.items()}})
    for name in cases:
        # Where a weight is used several times, autocast adds up its gradients in 16 bits, and torch shards in float32.
        tolerance = 5e-3 if name == "methods" else 2e-6
        assert_same(results[f"{name}_replicated"], results[name], tolerance)
        assert_restored(results[name])


def test_units_of_matrices_that_autocast_rounds_are_lowered() -> None:
    block = nn.TransformerEncoderLayer(8, 2, 16)
    assert is_lowered(block) and is_lowered(nn.Sequential(nn.Conv2d(3, 4, 3), nn.GroupNorm(2, 4)))
    assert not is_lowered(nn.Sequential(nn.Linear(3, 4), nn.Embedding(5, 4)))
    assert not is_lowered(nn.utils.parametrizations.weight_norm(nn.Linear(3, 4)))
    assert not is_lowered(nn.LayerNorm(4))
    block.place = nn.Parameter(block.linear1.weight.detach())
    assert not is_lowered(block)
    network = nn.Sequential(nn.Embedding(5, 8), nn.Linear(8, 8))
    assert is_lowered(network, outside=[network[0]])
