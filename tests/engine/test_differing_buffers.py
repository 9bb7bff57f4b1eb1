"""State of components that each process computes from its own samples is reported; of all samples, it resumes."""

from __future__ import annotations

from pathlib import Path

import pytest
from safetensors.torch import load_file
from torch import Tensor, nn, zeros

import artschool
from artschool.registry import losses
from tests.engine import toy_parts
from tests.engine.test_ranks import finish, launch
from tests.engine.toy_run import write

TEXT = f"""
name: centers
plugins: ['{toy_parts.__file__}', '{Path(__file__).resolve()}']
data: {{train: {{type: part_samples, length: 8, width: 4, batch_size: 4}}}}
networks: {{net: {{type: part_linear}}}}
steps:
  main:
    trains: net
    optimizer: {{type: adam, lr: 0.1}}
    injectors: {{y: {{type: forward, network: net, in: x, out: y}}}}
    losses:
      own: {{type: differing_center, in: y, weight: 1.0}}
      all: {{type: differing_center, of_all: true, in: y, weight: 1.0}}
train: {{iterations: 6, device: cpu}}
checkpoint: {{every: 2}}
"""
DINO = Path(__file__).parents[1] / "famous" / "dino.yml"


@losses.register("differing_center", mean_over="samples")
class Center(nn.Module):
    """The distance from a moving average."""

    center: Tensor

    def __init__(self, *, of_all: bool = False) -> None:
        super().__init__()
        self._of_all = of_all
        self.register_buffer("center", zeros(4))
        self.register_buffer("unsaved", zeros(4), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        """x: (B, 4). Returns a scalar."""
        rows = x.detach()
        self.unsaved = rows.mean(0)
        self.center = self.center.lerp((artschool.all_gather(rows) if self._of_all else rows).mean(0), 0.1)
        return (x - self.center).square().mean()


@pytest.mark.soak
def test_a_buffer_that_differs_is_reported_once(tmp_path: Path) -> None:
    """Over five seconds: two processes import torch."""
    code, output = finish(launch(tmp_path, write(tmp_path, text=TEXT), 2, "--no-trace"))
    assert code == 0, output
    assert [line for line in output.splitlines() if "differs among" in line] == [
        "warning: steps.main.losses.own.center: differs among the processes, and checkpoints have that of rank 0: each "
        "process computes it from its own samples, and a resumed run is another one. Fix: compute it from those of all "
        "processes, with `artschool.all_gather`"
    ]


@pytest.mark.soak
def test_two_processes_resume_dino_with_its_center(tmp_path: Path) -> None:
    """Over ten seconds: two processes import torch, three times."""
    for name, iterations in (("whole", 12), ("parts", 5), ("parts", 12)):
        options = (f"train.iterations={iterations}", "train.device=cpu", "--no-trace")
        code, output = finish(launch(tmp_path / name, DINO, 2, *options))
        assert code == 0 and "differs among" not in output, output
    folders = [tmp_path / name / "run" / "checkpoints" / "00000012" for name in ("whole", "parts")]
    for file in folders[0].glob("*.safetensors"):
        one, other = load_file(file), load_file(folders[1] / file.name)
        assert one.keys() == other.keys() and all(one[name].equal(other[name]) for name in one), file.name
