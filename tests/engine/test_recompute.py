"""Activation checkpointing changes no bit of weights, buffers or averages, and keeps less for backward."""

from __future__ import annotations

import copy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from artschool.engine.compiled import CompiledMethod, CudaGraphs
from artschool.engine.meters import Meters
from artschool.engine.recompute import checkpoint_activations
from artschool.engine.train_context import TrainContext
from artschool.errors import ConfigError
from artschool.registry.network_entry import CompileEntry
from tests.engine import toy_run


def make() -> nn.Sequential:
    """Convolutions with everything that a second forward could spoil: dropout, running means, spectral norm."""
    torch.manual_seed(0)
    spectral = nn.utils.parametrizations.spectral_norm(nn.Conv2d(4, 4, 3, padding=1))
    blocks = [
        nn.Sequential(nn.Conv2d(4, 4, 3, padding=1), nn.BatchNorm2d(4), nn.SiLU(), nn.Dropout(0.3), nn.SiLU())
        for _ in range(3)
    ]
    return nn.Sequential(
        nn.Conv2d(3, 4, 3), nn.Sequential(*blocks, nn.Sequential(spectral, nn.SiLU())), nn.Conv2d(4, 1, 3)
    )


def saved_by(call: Callable[[], Tensor]) -> tuple[Tensor, int]:
    """What a call returns, and how many numbers autograd keeps for its backward."""
    kept = 0

    def pack(tensor: Tensor) -> Tensor:
        nonlocal kept
        kept += tensor.numel()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        return call(), kept


def trained(network: nn.Module, x: Tensor) -> tuple[list[Tensor], dict[str, Tensor], int]:
    torch.manual_seed(1)
    # Twice before backward, as a critic is called with fake and real.
    total, kept = saved_by(lambda: network(x).square().mean() + network(x * 2).mean())
    torch.autograd.backward(total)
    return [p.grad for p in network.parameters() if p.grad is not None], network.state_dict(), kept


def test_gradients_and_buffers_have_the_same_bits_and_less_is_kept() -> None:
    plain, frugal, x = make(), make(), torch.randn(2, 3, 12, 12)
    checkpoint_activations(frugal, ["1.*"], "networks.net")
    expected, found = trained(plain, x), trained(frugal, x)
    assert len(found[0]) == len(list(plain.parameters()))
    assert all(torch.equal(one, other) for one, other in zip(expected[0], found[0], strict=True))
    assert found[1].keys() == expected[1].keys()
    assert all(torch.equal(found[1][name], expected[1][name]) for name in expected[1])
    assert found[2] < expected[2] / 3


def test_a_graph_is_differentiated_twice() -> None:
    """As by `gradient_ratio`. Each time, buffers begin as in the forward pass."""
    plain, frugal, x = make(), make(), torch.randn(2, 3, 12, 12)
    checkpoint_activations(frugal, ["1.*"], "networks.net")
    found = []
    for network in (plain, frugal):
        torch.manual_seed(1)
        loss = network(x).square().mean()
        weight = next(network.parameters())
        first = torch.autograd.grad(loss, weight, retain_graph=True)
        torch.autograd.backward(loss)
        found.append([*first, *(p.grad for p in network.parameters()), *network.buffers()])
    assert all(
        one is not None and other is not None and torch.equal(one, other) for one, other in zip(*found, strict=True)
    )


def test_the_input_gets_its_gradient_through_a_frozen_network() -> None:
    plain, frugal = make().eval().requires_grad_(False), make().eval().requires_grad_(False)
    checkpoint_activations(frugal, ["1"], "networks.net")
    x = torch.randn(1, 3, 12, 12)
    gradients = []
    for network in (plain, frugal):
        own = x.clone().requires_grad_()
        torch.autograd.backward(network(own).sum())
        gradients.append(own.grad)
    assert gradients[0] is not None and gradients[1] is not None and torch.equal(gradients[0], gradients[1])


def test_a_copy_computes_with_its_own_weights() -> None:
    network = make().eval()
    checkpoint_activations(network, ["1.*"], "networks.net")
    x = torch.randn(1, 3, 12, 12)
    before = network(x).detach()
    copied = copy.deepcopy(network)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.zero_()
    assert torch.equal(copied(x), before)
    assert not torch.equal(network(x), before)


def test_only_the_outermost_match_is_wrapped() -> None:
    network = make()
    checkpoint_activations(network, ["1*"], "networks.net")
    assert [name for name, module in network.named_modules() if "forward" in vars(module)] == ["1"]


def test_a_pattern_without_a_module_is_told() -> None:
    with pytest.raises(ConfigError) as refusal:
        checkpoint_activations(make(), ["body.*"], "networks.net")
    assert str(refusal.value).startswith(
        "networks.net.activation_checkpointing: 'body.*' matches no module. Available modules: 0, 1, "
    )


@pytest.mark.parametrize("overrides", [(), ("train.precision=bf16", "train.accumulate=2")])
def test_a_run_has_the_same_bits_with_it(tmp_path: Path, overrides: tuple[str, ...]) -> None:
    patterns = ("networks.gen.activation_checkpointing=['[0-3]']", "networks.critic.activation_checkpointing=['*']")
    prints: list[Any] = []
    for number, extra in enumerate(((), patterns)):
        (tmp_path / str(number)).mkdir()
        run = toy_run.load(tmp_path / str(number), *overrides, *extra)
        toy_run.recorded(run)
        prints.append(toy_run.fingerprint(run.train()))
    assert prints[0] == prints[1]


class Assigning(nn.Module):
    """Assigns a new tensor to its buffer in each forward."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(2, 2)
        self.mean: Tensor
        self.register_buffer("mean", torch.zeros(2))
        self.register_buffer("shared", self.mean)
        self.register_buffer("empty", None)

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.layer(x - self.mean).sigmoid() * (1 + self.mean)
        self.mean = 0.5 * self.mean + 0.5 * x.detach().mean(0)
        return y


def test_recomputation_uses_the_buffer_from_before_an_assignment() -> None:
    gradients, buffers, x = [], [], torch.randn(3, 2)
    for patterns in ([], ["0"]):
        torch.manual_seed(0)
        network = nn.Sequential(Assigning())
        if patterns:
            checkpoint_activations(network, patterns, "networks.net")
        torch.autograd.backward(network(x).square().sum() + network(x * 2).sum())
        gradients.append([p.grad for p in network.parameters()])
        buffers.append(network.state_dict())
    assert all(one is not None and torch.equal(one, other) for one, other in zip(*gradients, strict=True))
    assert all(torch.equal(buffers[0][name], buffers[1][name]) for name in buffers[0])


def compiled_frugal(first: nn.Module, notes: list[str], path: str = "") -> tuple[nn.Module, nn.Module]:
    """A network whose first part recomputes its activations, compiled from a path on, and as it was."""
    plain = nn.Sequential(nn.Sequential(first, nn.GELU(), nn.Dropout(0.2), nn.Linear(4, 4)), nn.Linear(4, 1))
    network = copy.deepcopy(plain)
    checkpoint_activations(network, ["0"], "networks.net")
    cuda_graphs = CudaGraphs(TrainContext(torch.device("cpu"), Meters()))
    entry = CompileEntry(backend="aot_eager", fullgraph=True)
    CompiledMethod("networks.net", network.get_submodule(path), None, entry, notes.append, cuda_graphs).install()
    return network, plain


def test_recomputed_activations_are_part_of_the_graph() -> None:
    notes: list[str] = []
    network, plain = compiled_frugal(nn.Linear(3, 4), notes)
    x, kept = torch.randn(5000, 3), [0, 0]
    network(x)  # Compiles.
    for index, called in enumerate((network, plain)):

        def pack(tensor: Tensor, index: int = index) -> Tensor:
            kept[index] += tensor.numel()
            return tensor

        torch.manual_seed(1)
        with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
            loss = called(x).square().mean() + called(-x).mean()
        loss.backward()
    assert [note.split(" compiled and proven in ")[0] for note in notes] == ["note: networks.net:"]
    assert kept[0] < kept[1] / 2
    for own, expected in zip(network.parameters(), plain.parameters(), strict=True):
        assert own.grad is not None and expected.grad is not None and torch.allclose(own.grad, expected.grad, atol=1e-6)


def test_a_compiled_part_of_a_part_that_recomputes_is_proven_by_itself() -> None:
    """As a unit of a sharded network."""
    notes: list[str] = []
    network, plain = compiled_frugal(nn.Linear(3, 4), notes, path="0.1")
    x = torch.randn(8, 3)
    for called in (network, plain):
        torch.manual_seed(1)
        (called(x).square().mean() + called(-x).mean()).backward()
    assert [note.split(" compiled and proven in ")[0] for note in notes] == ["note: networks.net:"]
    for own, expected in zip(network.parameters(), plain.parameters(), strict=True):
        assert own.grad is not None and expected.grad is not None and torch.allclose(own.grad, expected.grad, atol=1e-6)


@pytest.mark.parametrize(
    ("first", "buffer"),
    [
        (nn.utils.parametrizations.spectral_norm(nn.Linear(3, 4)), "0.0.parametrizations.weight.0._u"),
        (nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4)), "0.0.1.running_mean"),
    ],
    ids=["spectral norm", "batch norm"],
)
def test_a_part_that_recomputes_and_changes_buffers_runs_eagerly(first: nn.Module, buffer: str) -> None:
    """A graph would recompute from the values after the call: gradients through a spectral norm are then wrong."""
    notes: list[str] = []
    network, plain = compiled_frugal(first, notes)
    x = torch.randn(8, 3)
    for called in (network, plain):
        torch.manual_seed(1)
        (called(x).square().mean() + called(-x).mean()).backward()
    assert notes == [
        f"warning: networks.net: runs uncompiled: a call changes {buffer}, a buffer of a part with "
        "`activation_checkpointing`"
    ]
    for own, expected in zip(network.parameters(), plain.parameters(), strict=True):
        assert own.grad is not None and expected.grad is not None and torch.equal(own.grad, expected.grad)
