"""Buffers that cannot be copied, or not yet, stop no training; those beside them are restored."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from artschool.engine.eval_mode import with_state_kept
from artschool.engine.kept_buffers import KeptBuffers
from artschool.engine.undo import Undo
from artschool.registry import networks
from tests.engine import toy_run


class NoRun:
    """Streams, meters and context that do nothing: the buffers alone matter."""

    def __getattr__(self, name: str) -> object:
        return lambda *_: None


def unusual(kind: str) -> Tensor:
    """A tensor into which nobody can write as into others."""
    if kind == "inference":
        with torch.inference_mode():
            return torch.zeros(3)
    tensors = {
        "expanded": torch.zeros(1).expand(4),
        "sparse": torch.eye(3).to_sparse(),
        "grad": torch.zeros(3, requires_grad=True),
    }
    return tensors[kind]


def norm_beside(kind: str) -> nn.Module:
    norm: nn.Module = nn.LazyBatchNorm2d() if kind == "lazy" else nn.BatchNorm2d(2)
    if kind != "lazy":
        norm.register_buffer("unusual", unusual(kind), persistent=False)
    return norm


@pytest.mark.parametrize("kind", ["expanded", "sparse", "inference", "grad", "lazy"])
@pytest.mark.parametrize("mechanism", ["undo", "skip", "evaluation"])
def test_the_others_are_restored(mechanism: str, kind: str) -> None:
    norm, images = norm_beside(kind), torch.randn(2, 2, 3, 3)
    undo, kept = Undo({"net": norm}, NoRun(), NoRun(), NoRun()), KeptBuffers({"net": norm})  # type: ignore[arg-type]

    def step(skipped: float) -> None:
        undo.begin(0)
        kept.begin()
        norm(images)
        kept.settle(torch.tensor(skipped))

    step(0.0)
    before = norm.get_buffer("running_mean").clone()
    assert before.any()
    if mechanism == "evaluation":
        with with_state_kept([norm]):
            norm(images)
    else:
        step(float(mechanism == "skip"))
        assert mechanism == "skip" or undo.undo(0) == []
    assert norm.get_buffer("running_mean").equal(before)


@networks.register("unusual_generator")
def unusual_generator() -> nn.Module:
    """That of the toy, with buffers of all these kinds."""
    generator = toy_run.run_generator()
    for kind in ("expanded", "inference", "sparse"):
        generator.register_buffer(kind, unusual(kind), persistent=False)
    return generator


def test_a_network_with_such_buffers_trains_and_is_evaluated(tmp_path: Path) -> None:
    """Without an average: that copies the buffers of a network as well."""
    options = ("train.iterations=10", "train.on_out_of_memory=split", "ema.networks=[critic]")
    run = toy_run.load(tmp_path, "networks.gen.type=unusual_generator", *options)
    assert "held_out/psnr" in run.train().last_evaluation
