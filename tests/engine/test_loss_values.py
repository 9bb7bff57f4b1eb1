"""Values of losses as keys, and adaptive weights: in parts, in evaluations, and on several processes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

import artschool
from artschool.engine.run import Run
from artschool.storage.checkpoint_store import CheckpointStore
from tests.engine.test_ranks import finish, launch

pytestmark = pytest.mark.usefixtures("registries")
PARTS = '''
import torch
import torch.nn.functional as F
from torch import Tensor, nn
import artschool
from artschool import Context, losses, networks


@networks.register
class Halves(nn.Module):
    """Images to vectors, in two layers."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.last = nn.Linear(64, 6), nn.Linear(6, 4)

    def forward(self, x: Tensor) -> Tensor:
        return self.last(torch.tanh(self.first(x.flatten(1))))


@losses.register
def among_all(x: Tensor, context: Context) -> Tensor:
    """Each row is closer to itself than to the rows of all processes."""
    rows = artschool.all_gather(x, gradient=True) if context.training else x
    return (torch.logsumexp(x @ rows.mT, 1) - x.square().sum(1)).mean()
'''
TEXT = """
name: weighed
seed: 1
plugins: [parts.py]
data:
  train: {type: sklearn_digits, batch_size: 8}
  val: {type: sklearn_digits, split: val, batch_size: 8}
networks:
  net: {type: halves}
  s: {type: numbers, count: 2}
  w: {type: numbers, count: 2, initial: 1, sum: 2}
steps:
  main:
    trains: [net, s, w]
    optimizer: {type: sgd, lr: 0.05, momentum: 0.5}
    injectors:
      y: {type: forward, network: net, in: image, out: y}
      w: {type: forward, network: w, in: [], out: [w1, w2]}
INJECTORS
    losses:
      size: {type: l2, in: [y, zero], weight: w1, out: size}
      mean: {type: mean, in: y, weight: w2, out: mean}
      both: {type: uncertainty, in: [size, mean], log_variances: s, weight: 0.5}
LOSSES
train: {iterations: 6, device: cpu}
evaluate: {held: {data: val, every: 3, steps: [main]}}
log: {every: 1}
"""
ADAPTIVE = (
    """\
      zero: {type: constant, in: y, value: 0.0, out: zero}
      ratio: {type: gradient_ratio, in: [size, mean], network: net, parameter: last.weight, factor: 0.3, out: ratio}
      at_key: {type: gradient_ratio, in: [mean, size], at: y, max: 0.5, out: at_key}
      ledger: {type: loss_gradients, losses: {size: size, mean: mean}, at: y, every: 2, out: _}
      kept: {type: queue, in: y, size: 24, shape: [4], out: kept}
      pooled: {type: image_pool, in: y, size: 12, out: pooled}
""",
    """\
      ratio: {type: l1, in: [y, zero], weight: ratio}
      other: {type: l1, in: [y, pooled], weight: at_key}
      rates: {type: gradnorm, in: [size, mean], weights: w, network: net, parameter: last.weight, weight: 1.0}
      keys: {type: info_nce, in: [y, y], negatives: kept, weight: 0.2}
      all: {type: among_all, in: y, weight: 0.1}
""",
)
SIMPLE = ("      zero: {type: constant, in: y, value: 0.0, out: zero}\n", "")


@pytest.fixture(autouse=True)
def _folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("parts.py").write_text(PARTS)


def write(parts: tuple[str, str]) -> Path:
    Path("weighed.yml").write_text(TEXT.replace("INJECTORS\n", parts[0]).replace("LOSSES\n", parts[1]))
    return Path("weighed.yml")


def trained(name: str, parts: tuple[str, str], *overrides: str) -> Run:
    run = artschool.load(write(parts), overrides, run_dir=name)
    run.train()
    return run


def weights(run: Run) -> dict[str, Any]:
    return {f"{name}.{key}": v for name, network in run.networks.items() for key, v in network.state_dict().items()}


def test_parts_of_a_batch_weigh_values_as_the_whole_batch_does() -> None:
    whole, parts = trained("whole", SIMPLE), trained("parts", SIMPLE, "train.accumulate=3")
    torch.testing.assert_close(weights(parts), weights(whole), rtol=0, atol=1e-6)


def test_weights_are_read_last_and_get_no_gradient() -> None:
    run = trained("one", SIMPLE)
    # Nothing but `size` and `mean` reads `w`, and as weights only.
    assert run.networks["w"].get_parameter("values").tolist() == [1, 1]
    assert (run.networks["s"].get_parameter("values") != 0).all()
    adaptive = trained("adaptive", ADAPTIVE)
    values = adaptive.networks["w"].get_parameter("values")
    assert values.sum().item() == pytest.approx(2)
    assert values[0].item() != pytest.approx(1, abs=1e-4)


def test_an_evaluation_records_losses_without_weighing_them() -> None:
    run = trained("evaluated", ADAPTIVE)
    found = run.evaluations[0].run(6, run.device)
    assert {"held/main/size", "held/main/rates", "held/main/all"} <= found.keys()
    assert not any("ledger" in name for name in found)
    assert not any(injector.path.endswith("ratio") for injector in run.evaluations[0].steps[0].late_injectors)


def test_the_ledger_is_computed_when_it_is_due() -> None:
    trained("ledger", ADAPTIVE)
    lines = Path("ledger/metrics.jsonl").read_text().splitlines()
    assert ["main/ledger/norm/size" in line for line in lines] == [True, False] * 3


@pytest.mark.soak
def test_two_processes_agree_on_weights_queues_and_pools(tmp_path: Path) -> None:
    """Over five seconds: three processes import torch."""
    code, output = finish(launch(tmp_path, write(ADAPTIVE), 2))
    assert code == 0, output
    one = trained("alone", ADAPTIVE)
    saved = CheckpointStore(tmp_path / "run" / "checkpoints").load(6).tensors
    for name, network in one.networks.items():
        torch.testing.assert_close(saved[name], dict(network.state_dict()), rtol=0, atol=1e-6)
    components = {f"{path}/{name}": v for path, m in one.modules.items() for name, v in m.state_dict().items()}
    torch.testing.assert_close(saved["state.components"], components, rtol=0, atol=1e-6)
