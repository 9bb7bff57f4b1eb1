"""A tensor that a network does not register is found also if the network is averaged."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.reports.small import SUPER_RESOLUTION, artschool, write_images

PLUGIN = """
import torch
from torch import Tensor, nn
from artschool import networks


@networks.register
class Scaled(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.up = nn.ConvTranspose2d(3, 3, 2, 2)
        self.scales = {"x": torch.ones(1, requires_grad=True)}

    def forward(self, x: Tensor) -> Tensor:
        return self.up(x) * self.scales["x"]
"""


@pytest.mark.usefixtures("registries")
def test_hidden_tensor_of_an_averaged_network(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    write_images(Path("pics"), 4)
    write_images(Path("held"), 2)
    Path("parts.py").write_text(PLUGIN)
    text = SUPER_RESOLUTION.replace("{type: edsr, scale: 2, width: 8, blocks: 1}", "{type: scaled}")
    Path("x.yml").write_text("plugins: [parts.py]\nema: {decay: 0.5, networks: [gen]}\n" + text)
    code, printed = artschool("check", "x.yml", "--trace")
    assert code != 0
    assert "so nothing trains or saves them: scales['x']" in printed
