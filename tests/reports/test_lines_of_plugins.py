"""A mistake in the constructor of a plugin's component is reported with the line of the plugin."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.reports.small import artschool

PARTS = """
import torch
from torch import nn
from artschool import losses, networks, optimizers


@optimizers.register
class TwoValues(torch.optim.Adam):
    def __init__(self, params, lr: float = 1e-3) -> None:
        super().__init__(params, lr=lr)
        bool(torch.ones(2))


@optimizers.register
class NoKey(torch.optim.Adam):
    def __init__(self, params, lr: float = 1e-3) -> None:
        super().__init__(params, lr=lr)
        self.defaults["rate"]


@optimizers.register
class BadRate(torch.optim.Adam):
    def __init__(self, params, lr: float = 1e-3) -> None:
        super().__init__(params, lr=-lr)


@networks.register
class Viewed(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self._reshape(torch.ones(3))

    def _reshape(self, x) -> None:
        x.view(7, 7)


@losses.register
class Sized(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.sizes = {}["all"]

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x.mean()
"""
FILE = """
name: lines
plugins: [parts.py]
data: {train: {type: sklearn_digits, batch_size: 4}}
networks: {net: {type: edsr, scale: 1, in_channels: 1, out_channels: 1, width: 4, blocks: 1}}
steps:
  main:
    trains: net
    optimizer: {type: adam, lr: 1e-3}
    injectors: {y: {type: forward, network: net, in: image, out: y}}
    losses: {l: {type: l2, in: [y, image], weight: 1.0}}
train: {iterations: 1, device: cpu}
"""


@pytest.mark.usefixtures("registries")
@pytest.mark.parametrize(
    ("override", "path", "problem", "line"),
    [
        ("steps.main.optimizer.type=two_values", "steps.main.optimizer", "Boolean value", "bool(torch.ones(2))"),
        ("steps.main.optimizer.type=no_key", "steps.main.optimizer", "raised KeyError", 'self.defaults["rate"]'),
        ("steps.main.optimizer.type=bad_rate", "steps.main.optimizer", "Invalid", "super().__init__(params, lr=-lr)"),
        ("networks.net={type: viewed}", "networks.net", "rejected its options", "x.view(7, 7)"),
        ("steps.main.losses.l={type: sized, in: y, weight: 1}", "steps.main.losses.l", "KeyError", "self.sizes"),
    ],
)
def test_the_last_line_of_the_plugin_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, override: str, path: str, problem: str, line: str
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("parts.py").write_text(PARTS)
    Path("lines.yml").write_text(FILE)
    number = next(index for index, text in enumerate(PARTS.splitlines(), 1) if line in text)
    code, printed = artschool("train", "lines.yml", "--no-trace", override)
    assert code == 2
    assert f": {path}: " in printed and problem in printed
    assert f"\n    at {tmp_path}/parts.py:{number}: " in printed and line in printed


@pytest.mark.usefixtures("registries")
def test_a_built_in_component_that_rejects_its_options_names_no_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("parts.py").write_text(PARTS)
    Path("lines.yml").write_text(FILE)
    code, printed = artschool(
        "train", "lines.yml", "--no-trace", "steps.main.optimizer={type: adam, betas: [2.0, 0.9]}"
    )
    assert code == 2
    assert "    at " not in printed
