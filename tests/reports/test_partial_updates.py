"""Steps that move a part of a network, or nothing."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

import artschool
from tests.reports.small import artschool as command
from tests.reports.small import one_step

PARTS = '''
import torch
from torch import Tensor, nn

from artschool import losses, networks
from artschool.registry.signature import Network


@networks.register
class Split(nn.Module):
    """A weight and an offset, of which `steep` reads only the weight."""

    def __init__(self, *, drop: str = "") -> None:
        super().__init__()
        self.weight, self.offset = nn.Parameter(torch.ones(())), nn.Parameter(torch.ones(()))
        self.drop = drop

    def forward(self, x: Tensor) -> Tensor:
        return self.weight * x + self.offset

    def after_backward(self, step: int) -> None:
        if step % 2 and self.drop:
            for name, parameter in self.named_parameters():
                if self.drop in ("all", name):
                    parameter.grad = None


@losses.register
def steep(network: Network, x: Tensor) -> Tensor:
    """The square of the slope of the network, which does not depend on its offset."""
    x = x.detach().requires_grad_()
    (slope,) = torch.autograd.grad(network(x).sum(), x, create_graph=True)
    return (slope**2).mean()
'''
TEXT = one_step(
    "parts", plugin="parts.py", data="sklearn_digits", network="split", loss="l2, in: [y, image]", reads="image"
)
TEXT += """
ema: {decay: 0.5, networks: [net]}
log: {every: 1}
"""
PENALTY = """
  penalty:
    trains: net
    every: 2
    optimizer: {type: sgd, lr: 0.01}
    losses: {steep: {type: steep, network: net, in: image, weight: 1.0}}
train:"""
pytestmark = pytest.mark.usefixtures("registries")


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "parts.py").write_text(PARTS)
    return tmp_path


def check(text: str) -> tuple[int, str]:
    Path("parts.yml").write_text(text)
    return command("check", "parts.yml", "--trace")


def test_a_step_may_train_the_part_of_a_network_that_its_losses_reach_if_another_step_trains_the_rest() -> None:
    code, printed = check(TEXT.replace("\ntrain:", PENALTY))
    assert code == 0, printed


def test_a_part_that_no_step_reaches_is_still_a_fault() -> None:
    code, printed = check(
        TEXT.replace("\ntrain:", PENALTY).replace("type: l2, in: [y, image]", "type: steep, network: net, in: y")
    )
    assert code == 2
    assert "steps.penalty.trains: trains 'net', but no loss reaches offset of its 2 parameters" in printed


def test_a_network_that_only_another_step_reaches_is_still_a_fault() -> None:
    both = TEXT.replace("{net: {type: split}}", "{net: {type: split}, other: {type: split}}")
    both = both.replace("  main:\n    trains: net", "  main:\n    trains: [net, other]")
    both = both.replace("losses: {fit", "losses: {also: {type: l2, in: [w, image], weight: 1.0}, fit", 1)
    both = both.replace("injectors: {y", "injectors: {w: {type: forward, network: other, in: image, out: w}, y", 1)
    other = PENALTY.replace("trains: net", "trains: [net, other]")
    code, printed = check(both.replace("\ntrain:", other))
    assert code == 2 and "steps.penalty.trains: trains 'other', which no loss of the step reaches" in printed


@pytest.mark.parametrize("precision", ["fp32", "fp16"])
def test_a_hook_that_drops_all_gradients_makes_the_step_one_that_does_not_move(precision: str) -> None:
    code, printed = check(TEXT.replace("type: split", "type: split, drop: all"))
    assert code == 0, printed
    weights = []
    for iterations in (1, 2, 3):
        overrides = [f"train.iterations={iterations}", f"train.precision={precision}"]
        run = artschool.load("parts.yml", overrides, run_dir=f"run{iterations}").train()
        weights.append(torch.stack([*run.networks["net"].parameters(), *run.emas["net"].module.parameters()]))
    assert torch.equal(weights[0], weights[1])  # Neither the network nor its average.
    assert not torch.isclose(weights[1], weights[2]).any()


def test_a_hook_that_drops_some_gradients_leaves_the_others() -> None:
    Path("parts.yml").write_text(TEXT.replace("type: split", "type: split, drop: offset"))
    first, second = (
        dict(
            artschool.load("parts.yml", [f"train.iterations={number}"], run_dir=f"run{number}")
            .train()
            .networks["net"]
            .named_parameters()
        )
        for number in (1, 2)
    )
    assert torch.equal(first["offset"], second["offset"]) and not torch.equal(first["weight"], second["weight"])
