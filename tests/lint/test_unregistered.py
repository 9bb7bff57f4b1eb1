"""Layers that a network holds where torch does not find them."""

from __future__ import annotations

from pathlib import Path

import pytest
from torch import nn

from artschool.config.compose import apply_overrides, finish
from artschool.config.source import read_text
from artschool.lint import Subject, lint
from artschool.read.check import check_tree
from tests.engine import toy_parts

FROZEN = nn.Linear(2, 2).requires_grad_(False)


class Holder(nn.Module):
    """Has one layer of its own, and holds something in a plain attribute."""

    def __init__(self, held: object) -> None:
        super().__init__()
        self.layer = nn.Linear(2, 2)
        self.held = held


def findings(**networks: nn.Module) -> list[str]:
    tree = finish(read_text(toy_parts.TEXT.replace("plugins: [PLUGIN]", ""), "net.yml"), Path("net.yml"))
    config = check_tree(apply_overrides(tree, ["networks.other={type: part_linear}"]))
    return [str(finding) for finding in lint(Subject(config, networks)) if finding.rule == "unregistered-layer"]


def test_a_frozen_layer_in_a_list_is_found() -> None:
    assert findings(net=Holder([nn.ReLU(), FROZEN])) == [
        "net.yml:6:12: networks.net: holds parameters that it does not register: held[1].weight and 1 more "
        "(unregistered-layer)\n    Fix: use `nn.ModuleList`."
    ]
    assert "not register: held['a'].bias (" in findings(net=Holder({"a": Bias()}))[0]


class Bias(nn.Module):
    """One parameter."""

    def __init__(self) -> None:
        super().__init__()
        self.bias = nn.Parameter(FROZEN.bias.clone())


@pytest.mark.parametrize("held", [nn.ModuleList([FROZEN]), [FROZEN.weight.detach()], [FROZEN]])
def test_what_is_registered_somewhere_is_not_found(held: object) -> None:
    assert findings(net=Holder(held), other=FROZEN) == []
