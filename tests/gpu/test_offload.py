"""Offloaded state on a CUDA device: the same bits, less memory, and no wait. None of it can be seen without one."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import nn

from artschool.engine import offload
from artschool.engine.ema import Ema
from artschool.engine.offload import OffloadedState
from artschool.engine.optimizers import build_optimizer
from tests.engine import toy_run
from tests.gpu.marks import WATCHED
from tests.gpu.test_on_a_gpu import deterministic_products, trained
from tests.gpu.test_tuned_loop import watched

__all__ = ["deterministic_products"]

pytestmark = WATCHED
CUDA = torch.device("cuda", 0)
OFFLOAD = "train.offload={optimizer: cpu, ema: cpu}"


@pytest.fixture
def small_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every tensor of the toy is large, and no two of its weights fit into a part."""
    monkeypatch.setattr(offload, "LEAST_BYTES", 100)
    monkeypatch.setattr(offload, "PART_BYTES", 64)


@pytest.mark.usefixtures("small_parts")
@pytest.mark.parametrize("precision", ["fp32", "bf16", "fp16"])
def test_no_bit_of_a_run_differs(tmp_path: Path, precision: str) -> None:
    plain = trained(tmp_path / "plain", f"train.precision={precision}")
    offloaded = trained(tmp_path / "offloaded", f"train.precision={precision}", OFFLOAD)
    assert toy_run.fingerprint(offloaded) == toy_run.fingerprint(plain)
    assert offloaded.last_evaluation == plain.last_evaluation


@pytest.mark.usefixtures("small_parts")
def test_nothing_waits_for_the_device(tmp_path: Path) -> None:
    watched(tmp_path, OFFLOAD)


def test_state_and_averages_leave_the_memory_of_the_device() -> None:
    """Sixteen weights of 16 MiB: 256 MiB of weights, of gradients, and of each of two moments."""
    network = nn.Sequential(*(nn.Linear(2048, 2048, bias=False) for _ in range(16))).to(CUDA)
    optimizer = build_optimizer(torch.optim.AdamW, {}, [{"params": [*network.parameters()]}], "x")
    state, ema = OffloadedState(optimizer), Ema(network, 0.999)
    ema.offload()
    for parameter in network.parameters():
        parameter.grad = torch.ones_like(parameter)
    torch.cuda.synchronize()
    torch.cuda.reset_peak_memory_stats()
    before = torch.cuda.memory_allocated()
    for _ in range(4):
        state.step()
        ema.update([None])
        ema.join()
    state.wait()
    assert torch.cuda.memory_allocated() - before < 2**20
    assert torch.cuda.max_memory_allocated() - before < 700 * 2**20  # Four parts of two moments; some of the averages.
    assert all(host.is_pinned() for host in state.hosts)


def test_averages_follow_though_the_device_is_busy() -> None:
    """The next update waits for what still reads the weights."""
    network, plain = (nn.Linear(4096, 4096).to(CUDA) for _ in range(2))
    plain.load_state_dict(network.state_dict())
    emas = [Ema(network, 0.9), Ema(plain, 0.9)]
    emas[0].offload()
    for _ in range(20):
        for net, ema in zip((network, plain), emas, strict=True):
            ema.update([None])
            ema.join()
            with torch.no_grad():
                net.weight.add_(1.0)
    one, other = (ema.module.get_parameter("weight").cpu() for ema in emas)
    assert torch.equal(one, other)
