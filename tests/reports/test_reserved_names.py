"""Which names an entry reserves depends on what its kind reads and writes."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.reports.small import artschool

pytestmark = pytest.mark.usefixtures("registries")

PARTS = """
from torch import nn

from artschool import networks


@networks.register
class Head(nn.Sequential):
    def __init__(self, *, out: int = 4) -> None:
        super().__init__(nn.Flatten(), nn.Linear(64, out))
"""
FILE = """
name: named_out
plugins: [parts.py]
data: {train: {type: sklearn_digits, batch_size: 4}}
networks: {net: {type: head, out: 10}}
steps:
  main:
    trains: net
    optimizer: {type: adam, lr: 1e-3}
    injectors: {y: {type: forward, network: net, in: image, out: y}}
    losses: {l: {type: cross_entropy, in: [y, label], weight: 1.0}}
train: {iterations: 1, device: cpu}
"""


def test_an_option_of_a_network_may_be_called_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("parts.py").write_text(PARTS)
    Path("file.yml").write_text(FILE)
    code, printed = artschool("check", "file.yml")
    assert code == 0 and "file.yml: valid." in printed
    code, printed = artschool("explain", "file.yml", "networks.net.out")
    assert "`out` of the network head" in printed


def test_an_option_of_an_injector_may_not(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("parts.py").write_text(
        "from torch import Tensor\nfrom artschool import injectors\n"
        "@injectors.register\ndef taken(x: Tensor, *, out: int = 1) -> Tensor:\n    return x\n"
    )
    Path("file.yml").write_text(FILE)
    code, printed = artschool("check", "file.yml")
    assert code == 2 and "parameter 'out' has a name that is reserved for every injector" in printed
