"""Optimizer state and averages in the memory of the CPU: the same bits, through parts, skips, saves and resumes."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from artschool.engine import offload
from artschool.engine.ema import Ema
from artschool.engine.offload import OffloadedState
from artschool.engine.optimizers import build_optimizer
from artschool.engine.run import Run
from artschool.errors import ConfigError, StateError
from artschool.registry import losses, networks
from artschool.registry.signature import Context
from tests.engine import toy_run
from tests.engine.test_sharding import CASES, SHARD, assert_same, files, sharded

OFFLOAD = "train.offload={optimizer: cpu, ema: cpu}"
SHORT = ("train.iterations=10", "checkpoint.every=100")


@pytest.fixture(autouse=True)
def small_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every tensor of the toy is large, and no two of its weights fit into a part."""
    monkeypatch.setattr(offload, "LEAST_BYTES", 1)
    monkeypatch.setattr(offload, "PART_BYTES", 64)


@losses.register("offload_spoil")
def spoil(x: Tensor, *, at: int, context: Context) -> Tensor:
    """Not a number at one iteration."""
    return x.mean() * (float("nan") if context.iteration == at else 1.0)


@networks.register("offload_watcher")
class Watcher(nn.Sequential):
    """A network whose code wants its average."""

    def __init__(self) -> None:
        super().__init__(toy_run.run_generator())

    def provide_ema(self, average: nn.Module) -> None:
        """Keep the average."""
        self._average = [average]


def weight_of(ema: Ema) -> Tensor:
    """The averaged weight."""
    return ema.module.get_parameter("weight")


def trained(folder: Path, *overrides: str) -> Run:
    folder.mkdir(exist_ok=True)
    run = toy_run.load(folder, *overrides)
    run.train()
    return run


@pytest.mark.parametrize(
    "overrides",
    [
        ("steps.gen.losses.spoil={type: offload_spoil, in: sr, at: 3, weight: 1.0}",),
        ("train.precision=fp16", "train.accumulate=2", "steps.gen.batch_sizing={}"),
        ("steps.gen.optimizer={type: lamb, lr: 1e-3, no_decay: [bias, norm]}", "ema.decay=0.3"),
        ("steps.gen.optimizer.param_groups=[{match: 'gen.0.*', lr: 1e-4}]", "steps.gen.trains=[gen, critic]"),
        ("steps.gen.optimizer={type: rmsprop, lr: 1e-3}", "networks.gen.frozen=['0.*']", "train.channels_last=true"),
    ],
    ids=["skips", "fp16", "lamb", "groups", "not fused"],
)
def test_no_bit_of_a_run_differs(tmp_path: Path, overrides: tuple[str, ...]) -> None:
    plain = trained(tmp_path / "plain", *SHORT, *overrides)
    offloaded = trained(tmp_path / "offloaded", OFFLOAD, *SHORT, *overrides)
    assert toy_run.fingerprint(offloaded) == toy_run.fingerprint(plain)
    assert offloaded.last_evaluation == plain.last_evaluation
    assert offloaded.emas["gen"].offloaded is not None and offloaded.emas["gen"].offloaded.hosts


def test_a_run_resumes_with_and_without(tmp_path: Path) -> None:
    whole = trained(tmp_path / "whole")
    for length, change in ((6, OFFLOAD), (11, "train.offload={}"), (16, OFFLOAD), (20, OFFLOAD)):
        resumed = trained(tmp_path / "parts", f"train.iterations={length}", change)
    assert resumed.resumed_from == 16
    assert toy_run.fingerprint(resumed) == toy_run.fingerprint(whole)


def test_what_is_kept_in_the_memory_of_the_cpu(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Tensors from `LEAST_BYTES` on: the moments and averages of weights, but no counts, and no buffers."""
    monkeypatch.setattr(offload, "LEAST_BYTES", 100)
    run = trained(tmp_path, OFFLOAD, "train.iterations=6")
    update, average = run.steps[0].update, run.emas["gen"].offloaded
    assert update is not None and update.scheduled.offloaded is not None and average is not None
    large = [p for p in run.networks["gen"].parameters() if p.nbytes >= 100]
    assert len(large) == 2
    assert sorted(host.numel() for host in average.hosts) == sorted(p.numel() for p in large)
    assert sorted(host.numel() for host in update.scheduled.offloaded.hosts) == sorted(2 * [p.numel() for p in large])


def test_an_evaluation_has_the_averages_on_the_device() -> None:
    network = nn.Linear(3, 2)
    ema = Ema(network, 0.5)
    ema.offload()
    host = weight_of(ema)
    values, memory = host.detach().clone(), host.data_ptr()
    with ema.on_device():
        assert torch.equal(weight_of(ema), values) and weight_of(ema).data_ptr() != memory
    assert weight_of(ema) is host and host.data_ptr() == memory


def test_an_average_follows_tensors_that_the_network_replaces() -> None:
    network = nn.Linear(3, 2)
    ema, plain = Ema(network, 0.9), Ema(network, 0.9)
    ema.offload()
    for step in range(3):
        with torch.no_grad():
            network.weight.add_(1.0)
            if step == 1:
                network.bias = nn.Parameter(torch.ones(2))
        ema.update([None])
        plain.update([None])
    for one, other in zip(ema.module.parameters(), plain.module.parameters(), strict=True):
        assert torch.equal(one, other)
    ema.restart()
    assert torch.equal(weight_of(ema), network.weight)


class Counting(Optimizer):
    """Steps smaller and smaller, by a count that it keeps in its group."""

    def __init__(self, params: Any, lr: float = 0.1, of_all: bool = False) -> None:
        super().__init__(params, {"lr": lr, "count": 0, "largest": 0.0, "of_all": of_all})

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> None:  # type: ignore[override]
        """Update every parameter."""
        for group in self.param_groups:
            group["count"] += 1
            for parameter in group["params"]:
                self.state[parameter].setdefault("sum", torch.zeros_like(parameter)).add_(parameter.grad)
                parameter.sub_(self.state[parameter]["sum"], alpha=group["lr"] / group["count"])
                if group["of_all"]:
                    group["largest"] = max(group["largest"], float(parameter.abs().max()))


def moved_by(of_all: bool, is_offloaded: bool) -> tuple[list[Tensor], Optimizer]:
    parameters = [nn.Parameter(torch.full((n,), float(n))) for n in (20, 30, 4)]
    optimizer = Counting([{"params": parameters[:2]}, {"params": parameters[2:], "lr": 0.2}], of_all=of_all)
    step = OffloadedState(optimizer).step if is_offloaded else optimizer.step
    for _ in range(3):
        for parameter in parameters:
            parameter.grad = parameter.detach().clone()
        step()
    return [parameter.detach() for parameter in parameters], optimizer


def test_counts_of_groups_are_those_of_one_call() -> None:
    (ours, offloaded), (theirs, _) = moved_by(False, True), moved_by(False, False)
    assert all(torch.equal(*pair) for pair in zip(ours, theirs, strict=True))
    assert [group["count"] for group in offloaded.param_groups] == [3, 3]
    assert [len(group["params"]) for group in offloaded.param_groups] == [2, 1]


def test_an_optimizer_that_looks_at_all_parameters_is_refused() -> None:
    with pytest.raises(StateError, match="Counting computes 'largest' from all parameters of a group"):
        moved_by(True, True)


def test_only_some_parameters_are_on_the_device_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Four weights of 400 bytes, in parts of two."""
    monkeypatch.setattr(offload, "PART_BYTES", 800)
    parameters = [nn.Parameter(torch.ones(100)) for _ in range(4)]
    optimizer = build_optimizer(torch.optim.AdamW, {}, [{"params": parameters}], "x")
    state = OffloadedState(optimizer)
    seen: list[int] = []
    fetched: list[bool] = []

    def hosts() -> set[int]:
        return {host.data_ptr() for host in state.hosts}

    def moments() -> list[int]:
        return [optimizer.state[p]["exp_avg"].data_ptr() for p in optimizer.param_groups[0]["params"]]

    def watch(*_: object) -> None:
        seen.append(len(optimizer.param_groups[0]["params"]))
        if len(seen) > 2:  # The first step creates the state.
            fetched.append(hosts().isdisjoint(moments()))

    optimizer.register_step_pre_hook(watch)
    for parameter in parameters[:3]:
        parameter.grad = torch.ones(100)
    state.step()
    state.step()
    assert seen == [2, 1, 2, 1] and fetched == [True, True]
    assert all(optimizer.state[p]["exp_avg"].data_ptr() in hosts() for p in parameters[:3])


def test_a_network_that_calls_its_average_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"networks.gen: its code has `provide_ema`.*Fix: remove `train.offload.ema`"):
        toy_run.load(tmp_path, OFFLOAD, "networks.gen={type: offload_watcher}")


@pytest.mark.soak
def test_processes_compute_the_same_bits(tmp_path: Path) -> None:
    """Over twenty seconds: two processes train eight times."""
    paths = files(tmp_path, ["gan", "coder", "fp16"])
    shares = ("steps.gen.optimizer.shard=true", "train.parallel=replicate")
    kinds = {"shard": ("gan", (SHARD,)), "coder": ("coder", (SHARD,)), "fp16": ("fp16", CASES["fp16"][2])}
    kinds |= {"shares": ("gan", shares)}
    cases = {name: (paths[file], changes) for name, (file, changes) in kinds.items()}
    results = sharded(tmp_path, 2, cases | {f"{n}_off": (path, (*more, OFFLOAD)) for n, (path, more) in cases.items()})
    for name in kinds:
        assert_same(results[name], results[f"{name}_off"], tolerance=0.0)
