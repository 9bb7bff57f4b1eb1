"""Batches reach a GPU by a stream of their own, with the waits that this needs."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import torch
from torch import Tensor

from artschool.data import to_device as module
from artschool.data.to_device import to_device

CPU, CUDA = torch.device("cpu"), torch.device("cuda", 0)


class Machine:
    """Stands for torch.cuda: notes the calls, and in which stream they were made."""

    def __init__(self) -> None:
        self.calls: list[str] = []
        self.stream = "compute"

    def note(self, call: str) -> None:
        self.calls.append(f"{self.stream}: {call}")


class Stream:
    def __init__(self, machine: Machine, name: str) -> None:
        self.machine, self.name = machine, name

    def wait_stream(self, other: Stream) -> None:
        self.machine.note(f"{self.name} waits for {other.name}")


class OnCard(Tensor):
    """A tensor of the machine, which has the methods that torch needs a card for."""

    machine: Machine

    def pin_memory(self, device: Any = None) -> OnCard:
        self.machine.note("pin")
        return self

    def to(self, *args: Any, **kwargs: Any) -> OnCard:
        self.machine.note(f"copy to {args[0]}{'' if kwargs.get('non_blocking') else ' and wait'}")
        return self

    def record_stream(self, s: Any) -> None:
        self.machine.note(f"keep for {s.name}")


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> Iterator[Machine]:
    machine = Machine()

    @contextmanager
    def inside(stream: Stream) -> Iterator[None]:
        before, machine.stream = machine.stream, stream.name
        yield
        machine.stream = before

    monkeypatch.setattr(torch.cuda, "current_stream", lambda device: Stream(machine, machine.stream))
    monkeypatch.setattr(torch.cuda, "stream", inside)
    monkeypatch.setattr(torch.cuda, "Stream", lambda device: Stream(machine, "copies"))
    module.copy_stream.cache_clear()
    yield machine
    module.copy_stream.cache_clear()


def on_card(machine: Machine) -> OnCard:
    tensor = torch.zeros(1, 2, 3, 3).as_subclass(OnCard)
    tensor.machine = machine
    return tensor


def test_copies_run_beside_the_computation_which_waits_for_them_on_the_device(machine: Machine) -> None:
    moved = to_device({"x": on_card(machine), "name": ["a"], "y": on_card(machine)}, CUDA)
    assert moved["name"] == ["a"]
    assert machine.calls == [
        "compute: pin",
        "compute: pin",
        "copies: copy to cuda:0",
        "copies: copy to cuda:0",
        "compute: compute waits for copies",
        "compute: keep for compute",
        "compute: keep for compute",
    ]


def test_all_batches_share_one_stream(machine: Machine) -> None:
    assert module.copy_stream(CUDA) is module.copy_stream(torch.device("cuda", 0))


def test_on_a_cpu_the_tensors_are_the_same() -> None:
    batch = {"x": torch.zeros(2, 3), "name": ["a", "b"]}
    moved = to_device(batch, CPU)
    assert moved == batch
    assert moved is not batch
    assert moved["x"] is batch["x"]


def test_channels_last_changes_images_and_volumes_only() -> None:
    batch = {"image": torch.rand(2, 3, 4, 4), "video": torch.rand(2, 3, 2, 4, 4), "row": torch.rand(2, 3)}
    moved = to_device({**batch, "name": ["a", "b"]}, CPU, channels_last=True)
    assert moved["image"].is_contiguous(memory_format=torch.channels_last)
    assert moved["video"].is_contiguous(memory_format=torch.channels_last_3d)
    assert moved["row"] is batch["row"]
    assert all(torch.equal(moved[key], batch[key]) for key in batch)
