"""Fused optimizers move the parts of sharded parameters as they move whole ones, and read nothing on the host."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.tensor import DTensor, Shard
from torch.optim import SGD, Adagrad, Adam, AdamW, Optimizer
from torch.profiler import ProfilerActivity, profile

from artschool import ranks
from artschool.engine.optimizer_state import needed_slots
from artschool.engine.optimizers import build_optimizer, skips_on_device
from artschool.engine.scheduled_optimizer import ScheduledOptimizer
from artschool.registry.schedule import Schedule
from tests.engine.test_synchronisations import READS, is_inside_fused_kernel

COUNT = 3
"""Processes that share the parameters. They do not exist, but the optimizers need none of them."""
KINDS: dict[str, tuple[type[Optimizer], dict[str, Any]]] = {
    "sgd": (SGD, {}),
    "momentum": (SGD, {"momentum": 0.9}),
    "nesterov": (SGD, {"momentum": 0.9, "nesterov": True, "weight_decay": 0.1, "maximize": True}),
    "adam": (Adam, {"weight_decay": 0.1}),
    "adamw": (AdamW, {"amsgrad": True}),
    "adagrad": (Adagrad, {"weight_decay": 0.1}),
}
GROUPS: list[dict[str, Any]] = [
    {"shapes": [(5, 3), (1, 4), (40, 7)], "dtype": torch.float32, "lr": 0.1},
    {"shapes": [(2,), (6, 2)], "dtype": torch.float64, "lr": 0.02, "weight_decay": 0.3},
]
"""The last process has no part of the tensors with one and two rows."""
FLAGS = (1.0, 0.0, 0.0, 1.0, 0.0)
"""For each update, whether it is skipped."""


@pytest.fixture(autouse=True)
def _processes() -> Iterator[None]:
    with ranks.pretended(COUNT):
        yield


def _part(whole: Tensor, rank: int) -> Tensor:
    """The rows of a process."""
    parts = whole.detach().chunk(COUNT)
    return parts[rank].clone() if rank < len(parts) else whole.new_empty(0, *whole.shape[1:])


def _sharded(whole: Tensor, rank: int) -> Tensor:
    """A tensor of which this process has the part of a rank."""
    mesh = init_device_mesh("cpu", (COUNT,))
    shape, stride = whole.shape, whole.stride()
    return DTensor.from_local(_part(whole, rank), mesh, [Shard(0)], run_check=False, shape=shape, stride=stride)


def _built(kind: str, rank: int | None) -> tuple[Optimizer, ScheduledOptimizer]:
    """An optimizer of whole parameters, or of those of which this process has the parts of a rank."""
    generator = torch.Generator().manual_seed(0)
    groups = []
    for group in GROUPS:
        values = [torch.randn(shape, generator=generator, dtype=group["dtype"]) for shape in group["shapes"]]
        parameters = [nn.Parameter(value if rank is None else _sharded(value, rank)) for value in values]
        groups.append({"params": parameters, **{k: v for k, v in group.items() if k not in ("shapes", "dtype")}})
    factory, options = KINDS[kind]
    optimizer = build_optimizer(factory, options, groups, "x")
    return optimizer, ScheduledOptimizer(optimizer, Schedule())


def _set_gradients(optimizer: Optimizer, seed: int, rank: int | None) -> None:
    generator = torch.Generator().manual_seed(seed)
    for parameter in (parameter for group in optimizer.param_groups for parameter in group["params"]):
        gradient = torch.randn(parameter.shape, generator=generator, dtype=parameter.dtype)
        parameter.grad = gradient if rank is None else _sharded(gradient, rank)


def _tensors(optimizer: Optimizer) -> list[Tensor]:
    """The parameters, and the state that has their shape."""
    parameters = [parameter for group in optimizer.param_groups for parameter in group["params"]]
    slots = [value for p in parameters for value in optimizer.state[p].values() if value is not None and value.dim()]
    return [*parameters, *slots]


@pytest.mark.parametrize("rank", [0, COUNT - 1])
@pytest.mark.parametrize("kind", KINDS)
def test_parts_move_as_the_whole_and_skip(kind: str, rank: int) -> None:
    whole, (parts, scheduled) = _built(kind, None), _built(kind, rank)
    for seed, flag in enumerate(FLAGS):
        before = [ranks.local(tensor).clone() for tensor in _tensors(parts)]
        for optimizer, own in ((whole[0], None), (parts, rank)):
            _set_gradients(optimizer, seed, own)
        whole[1].step(torch.tensor(flag))
        scheduled.step(torch.tensor(flag))
        now = _tensors(parts)
        assert all(map(ranks.is_sharded, now))
        for tensor, expected in zip(now, _tensors(whole[0]), strict=True):
            torch.testing.assert_close(ranks.local(tensor).detach(), _part(expected, rank), rtol=0, atol=1e-6)
        # If the first update is skipped, it may create state, which is zero.
        left = [*before, *map(torch.zeros_like, map(ranks.local, now[len(before) :]))]
        same = [torch.equal(ranks.local(tensor), other) for tensor, other in zip(now, left, strict=True)]
        assert all(same) is (flag == 1.0)


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind != "adagrad"])  # Some versions of it must read.
def test_nothing_is_read_on_the_host(kind: str) -> None:
    optimizer, scheduled = _built(kind, 0)
    assert skips_on_device(optimizer)
    for seed, flag in enumerate(FLAGS):
        _set_gradients(optimizer, seed, 0)
        found_inf = torch.tensor(flag)
        with profile(activities=[ProfilerActivity.CPU], acc_events=True) as profiled:
            scheduled.step(found_inf)
        events: list[Any] = list(profiled.events())
        assert any(is_inside_fused_kernel(event) for event in events)
        assert [event.name for event in events if event.name in READS and not is_inside_fused_kernel(event)] == []


def test_what_the_first_update_creates_is_known_before_it() -> None:
    """A resume compares this with what a checkpoint has."""
    optimizer, _ = _built("momentum", 0)
    parameter = optimizer.param_groups[0]["params"][0]
    (slot,) = (needed_slots(optimizer, parameter) or {}).items()
    assert slot[0] == "momentum_buffer"
    assert ranks.is_sharded(slot[1]) and slot[1].shape == (5, 3)
