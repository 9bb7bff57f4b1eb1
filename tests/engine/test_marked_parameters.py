"""What a network's own code says of its parameters, by attributes."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor, nn

from artschool.registry import networks
from tests.engine import toy_run


class Marked(nn.Module):
    """A generator whose convolutions say how they are trained."""

    def __init__(self) -> None:
        super().__init__()
        self.fixed, self.late, self.head = (nn.Conv2d(3, 3, 1) for _ in range(3))
        for parameter in self.fixed.parameters():
            parameter.DO_NOT_TRAIN = True  # type: ignore[attr-defined]  # what is tested
        for parameter in self.late.parameters():
            parameter.DO_NOT_TRAIN_UNTIL = 2  # type: ignore[attr-defined]  # what is tested
        for parameter in self.head.parameters():
            parameter.PARAM_GROUP = "head"  # type: ignore[attr-defined]  # what is tested

    def forward(self, x: Tensor) -> Tensor:
        """(B, 3, H, W) to (B, 3, 2H, 2W)."""
        out: Tensor = self.head(self.late(self.fixed(nn.functional.interpolate(x, scale_factor=2.0))))
        return out


def test_marks_freeze_delay_and_group(tmp_path: Path) -> None:
    networks.register("marked", Marked)
    run = toy_run.load(
        tmp_path,
        "networks.gen={type: marked}",
        "steps.gen.optimizer={type: sgd, lr: 0.1, param_groups: [{marked: head, lr: 0.0}]}",
        "steps.gen.schedule=",
        "train.iterations=3",
    )
    gen = run.networks["gen"]
    before = {name: p.detach().clone() for name, p in gen.named_parameters()}
    moved = []
    toy_run.recorded(run)
    for last in (1, 2, 3):
        run.iterations = last
        run.train()
        moved.append({n.split(".")[0] for n, p in gen.named_parameters() if not torch.equal(p, before[n])})
    assert moved == [set(), set(), {"late"}]
