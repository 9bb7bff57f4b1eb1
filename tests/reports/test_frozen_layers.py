"""A layer that is frozen whole changes nothing while it trains beside others: no weight, and no running statistics."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from artschool.build.run import build
from artschool.config.compose import apply_overrides, finish
from artschool.config.source import read_text
from artschool.engine.run import Run
from artschool.lint import Subject, lint
from artschool.read.check import check_tree
from artschool.registry import networks
from tests.trace import traced_parts  # noqa: F401  # registers its data set

TEXT = """
name: frozen
data: {train: {type: traced_rows, batch_size: 4}}
networks: {net: {type: frozen_parts}}
steps:
  main:
    trains: net
    optimizer: {type: adam, lr: 0.1}
    injectors: {call: {type: forward, network: net, in: x, out: y}}
    losses: {mean: {type: l2, in: [y, x], weight: 1.0}}
evaluate: {held: {data: train, every: 1, steps: [main]}}
train: {iterations: 3, device: cpu}
"""


@networks.register("frozen_parts")
class Parts(nn.Module):
    """Two alike blocks, each with norms with and without weights, and dropout."""

    def __init__(self, by_code: bool = False) -> None:
        super().__init__()
        self.body, self.head = (
            nn.Sequential(nn.Linear(3, 3), nn.BatchNorm1d(3), nn.BatchNorm1d(3, affine=False), nn.Dropout())
            for _ in range(2)
        )
        self.between = nn.BatchNorm1d(3, affine=False)
        if by_code:
            self.body.requires_grad_(False)

    def forward(self, x: Tensor) -> Tensor:
        """(B, 3) to the same."""
        result: Tensor = self.head(self.between(self.body(x)))
        return result


def trained(folder: Path, *overrides: str) -> Run:
    """The run, after its three iterations."""
    tree = finish(read_text(TEXT, "frozen.yml"), Path("frozen.yml"))
    run = build(check_tree(apply_overrides(tree, overrides)), folder, device=torch.device("cpu"))
    run.train()
    return run


def still(run: Run) -> list[str]:
    """The running means that are as they were when built."""
    buffers = run.networks["net"].named_buffers()
    return [name for name, value in buffers if name.endswith("running_mean") and not value.any()]


def in_eval_mode(run: Run) -> list[str]:
    modules = run.networks["net"].named_modules()
    return [name for name, module in modules if not module.training and not list(module.children())]


BODY = ["body.0", "body.1", "body.2", "body.3"]


@pytest.mark.parametrize(
    ("frozen", "norms", "modules"),
    [
        ("false", [], []),
        ("['body.*']", ["body.1.running_mean", "body.2.running_mean"], BODY),
        ("['body.*', 'head.0.*']", ["body.1.running_mean", "body.2.running_mean"], [*BODY, "head.0"]),
        ("['*.1.*']", ["body.1.running_mean", "head.1.running_mean"], ["body.1", "head.1"]),
        ("['*.weight']", [], []),  # Biases of each layer train on.
        ("['body.0.*', 'body.1.bias']", [], ["body.0"]),
    ],
)
def test_layers_that_are_frozen_whole_are_in_eval_mode(
    tmp_path: Path, frozen: str, norms: list[str], modules: list[str]
) -> None:
    run = trained(tmp_path, f"networks.net.frozen={frozen}")
    assert (still(run), in_eval_mode(run)) == (norms, modules)


def findings(folder: Path, *overrides: str) -> list[str]:
    tree = finish(read_text(TEXT, "frozen.yml"), Path("frozen.yml"))
    config = check_tree(apply_overrides(tree, overrides))
    run = build(config, folder, device=torch.device("cpu"))
    return [str(finding) for finding in lint(Subject(config, run.networks)) if finding.rule == "half-frozen-norm"]


def test_the_linter_asks_about_norms_that_code_froze(tmp_path: Path) -> None:
    assert findings(tmp_path, "networks.net.by_code=true") == [
        "frozen.yml:4:12: networks.net: its code freezes the parameters of 'body', but not the running statistics of "
        "its batch norms (half-frozen-norm)\n    Fix: write `frozen: [body.*]`."
    ]
    assert findings(tmp_path, "networks.net.by_code=true", "networks.net.frozen=['body.*']") == []
    assert findings(tmp_path) == []
