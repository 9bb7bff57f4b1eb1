"""Sparse gradients, which no kernel of an update takes, are a short error that names the parameter."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

import artschool
from artschool.errors import ConfigError, StateError
from artschool.registry import networks
from tests.engine.toy_run import write

ERROR = (
    "networks.gen: the gradient of the parameter 'shades.weight' is sparse, which the update of steps.gen does not "
    "take. Fix: leave out `sparse=True` in the code of the network"
)


@networks.register("sparse_upscaler")
class Sparse(nn.Module):
    """(B, 3, H, W) to (B, 3, 2 H, 2 W), with a table of 256 shades."""

    def __init__(self) -> None:
        super().__init__()
        self.shades = nn.Embedding(256, 12, sparse=True)

    def forward(self, x: Tensor) -> Tensor:
        shade = self.shades((x[:, 0] * 255).long().clamp(0, 255))
        return nn.functional.pixel_shuffle(shade.movedim(-1, 1) + x.repeat(1, 4, 1, 1), 2)


@pytest.mark.parametrize(
    "change",
    [
        "log.every=3",
        "train.non_finite=ignore",
        "steps.gen.clip_grad_norm=null",
        "steps.gen.optimizer={type: sgd, lr: 1}",
    ],
)
def test_a_sparse_gradient_is_named(tmp_path: Path, change: str) -> None:
    file = write(tmp_path, "networks.gen={type: sparse_upscaler}", change)
    with pytest.raises(StateError) as raised:
        artschool.load(file, run_dir=tmp_path / "run").train()
    assert str(raised.value) == ERROR


def test_the_trace_names_a_sparse_gradient(tmp_path: Path) -> None:
    file = write(tmp_path, "networks.gen={type: sparse_upscaler}")
    with pytest.raises(ConfigError) as raised:
        artschool.load(file, run_dir=tmp_path / "run", traced=True)
    (fault,) = raised.value.faults
    assert fault.path == "steps.gen"
    assert fault.message == f"fails outside of its injectors and losses: {ERROR}"


def test_a_table_that_nothing_trains_may_be_sparse(tmp_path: Path) -> None:
    table = Sparse()
    torch.save(table.state_dict(), tmp_path / "table.pt")
    file = write(
        tmp_path, f"networks.table={{type: sparse_upscaler, weights: {tmp_path / 'table.pt'}}}", "train.iterations=1",
        "steps.gen.injectors.more={type: forward, network: table, in: lq, out: more}",
        "steps.gen.losses.more={type: l1, in: [sr, more], weight: 1.0}",
    )  # fmt: skip
    artschool.load(file, run_dir=tmp_path / "run").train()
