"""What an evaluation calls is in eval mode, whoever it belongs to."""

from __future__ import annotations

from pathlib import Path

from torch import Tensor, nn

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
