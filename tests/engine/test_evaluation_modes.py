"""What an evaluation calls is in eval mode, whoever it belongs to, and keeps its state."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from artschool.engine.eval_mode import with_state_kept
from artschool.registry import injectors
from tests.engine import toy_run

MODES: list[bool] = []


class ModeWitness(nn.Module):
    """An injector that is a module, as one with dropout of its own would be."""

    def forward(self, x: Tensor) -> Tensor:
        MODES.append(self.training)
        return x


def test_a_module_among_the_injectors_is_in_eval_mode(tmp_path: Path) -> None:
    if "mode_witness" not in injectors:
        injectors.register("mode_witness", ModeWitness)
    MODES.clear()
    witness = "{type: mode_witness, in: sr, out: seen}"
    run = toy_run.load(
        tmp_path,
        f"evaluate.held_out.injectors.see={witness}",
        f"steps.gen.injectors.see={witness}",
        "train.iterations=1",
    )
    toy_run.recorded(run)
    run.train()
    assert MODES == [True, False, False]


class Positions(nn.Module):
    """Adds positions, of which it keeps a table for the longest input so far."""

    table: Tensor

    def __init__(self, *, is_buffer: bool) -> None:
        super().__init__()
        self.longest, self.is_buffer = 0, is_buffer

    def forward(self, x: Tensor) -> Tensor:
        if x.shape[1] > self.longest:
            self.longest = x.shape[1]
            table = torch.arange(float(self.longest))
            if self.is_buffer:
                self.register_buffer("table", table, persistent=False)
            else:
                self.table = table
        return x + self.table[: x.shape[1]]


@pytest.mark.parametrize("is_buffer", [True, False])
@pytest.mark.parametrize("before", [0, 4])
def test_a_network_that_an_evaluation_gave_longer_inputs_trains_on(is_buffer: bool, before: int) -> None:
    network = nn.Sequential(Positions(is_buffer=is_buffer))
    if before:
        network(torch.zeros(1, before))
    with with_state_kept([network]):
        network(torch.zeros(1, 9))
    assert network[0].longest == before
    assert network(torch.zeros(1, 6)).tolist() == [[0, 1, 2, 3, 4, 5]]


def test_a_lazy_layer_that_an_evaluation_calls_first_keeps_its_shape() -> None:
    layer = nn.LazyLinear(2)
    with with_state_kept([layer]):
        layer(torch.zeros(1, 3))
    assert layer.in_features == 3 and layer(torch.zeros(1, 3)).shape == (1, 2)
