"""Averages in one kernel: the numbers of `decay * average + (1 - decay) * weights`, whatever the tensors look like."""

from __future__ import annotations

from collections import Counter

import pytest
import torch
from torch import Tensor, nn
from torch.profiler import ProfilerActivity, profile

from artschool.engine.ema import Ema

KEPT, SKIPPED = torch.tensor(0.0), torch.tensor(1.0)


class Mixed(nn.Module):
    """Parameters of several dtypes and layouts, and one that is not averaged."""

    def __init__(self) -> None:
        super().__init__()
        generator = torch.Generator().manual_seed(0)

        def draw(*shape: int) -> Tensor:
            return torch.randn(*shape, generator=generator)

        self.single = nn.Parameter(draw(5, 7))
        self.transposed = nn.Parameter(draw(4, 6).t())
        self.images = nn.Parameter(draw(3, 2, 5, 5).contiguous(memory_format=torch.channels_last))
        self.exact = nn.Parameter(draw(9).double())
        self.short = nn.Parameter(draw(8).bfloat16())
        self.waves = nn.Parameter(torch.complex(draw(3), draw(3)))
        self.counts = nn.Parameter(torch.arange(3), requires_grad=False)


def moved(network: nn.Module) -> dict[str, Tensor]:
    """The averaged tensors by name, after their network has moved."""
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.copy_(parameter * 2 + 1)
    return {name: parameter.detach().clone() for name, parameter in network.named_parameters()}


@pytest.mark.parametrize("found_inf", [[None], [KEPT], [SKIPPED, KEPT], [None, SKIPPED]])
def test_every_dtype_and_layout_follows(found_inf: list[Tensor | None]) -> None:
    network = Mixed()
    ema = Ema(network, 0.9)
    before = {name: parameter.detach().clone() for name, parameter in ema.module.named_parameters()}
    now = moved(network)
    ema.update(found_inf)
    after = dict(ema.module.named_parameters())
    for name in ("single", "transposed", "images", "exact", "short", "waves"):
        tolerance = 1e-2 if name == "short" else 1e-6
        torch.testing.assert_close(after[name], before[name] * 0.9 + now[name] * 0.1, rtol=tolerance, atol=tolerance)
    assert torch.equal(after["counts"], now["counts"])
    assert {name: parameter.stride() for name, parameter in network.named_parameters()} == {
        name: parameter.stride() for name, parameter in after.items()
    }


@pytest.mark.parametrize("decay", [0.6, 0.9, 0.999])
@pytest.mark.parametrize("flag", [None, KEPT])
def test_single_precision_has_the_bits_of_lerp(decay: float, flag: Tensor | None) -> None:
    network = nn.Sequential(nn.Conv2d(3, 16, 3), nn.Linear(33, 65))
    ema = Ema(network, decay)
    expected = [parameter.detach().clone() for parameter in ema.module.parameters()]
    for _ in range(3):
        for value, now in zip(expected, moved(network).values(), strict=True):
            value.lerp_(now, 1 - decay)
        ema.update([flag])
    assert all(map(torch.equal, ema.module.parameters(), expected))


@pytest.mark.parametrize("flag", [None, KEPT])
def test_without_decay_the_average_equals_the_network(flag: Tensor | None) -> None:
    network = nn.Linear(33, 65)
    ema = Ema(network, 0.0)
    now = moved(network)
    ema.update([flag])
    assert all(map(torch.equal, ema.module.parameters(), now.values()))


def test_a_skipped_update_changes_nothing() -> None:
    network = Mixed()
    ema = Ema(network, 0.9)
    before = [parameter.detach().clone() for parameter in ema.module.parameters()][:-1]
    now = moved(network)
    ema.update([SKIPPED, SKIPPED])
    assert all(map(torch.equal, ema.module.parameters(), before))
    assert all(map(torch.equal, network.parameters(), now.values()))


def test_weights_in_another_layout_than_their_average_follow() -> None:
    network = nn.Linear(4, 6)
    ema = Ema(network, 0.5)
    network.weight.data = torch.arange(24.0).view(4, 6).t()
    average = ema.module.get_parameter("weight")
    start = average.detach().clone()
    ema.update([KEPT])
    torch.testing.assert_close(average.detach(), start / 2 + network.weight.detach() / 2)


@pytest.mark.parametrize("flag", [None, KEPT])
def test_one_kernel_moves_all_averages(flag: Tensor | None) -> None:
    ema = Ema(nn.Sequential(*(nn.Linear(3, 3) for _ in range(5))), 0.9)
    with profile(activities=[ProfilerActivity.CPU]) as profiled:
        ema.update([flag])
    calls = Counter(event.name for event in profiled.events() or ())
    assert calls["aten::_fused_sgd_"] == 1
    assert not [name for name in calls if "lerp" in name or "copy" in name]
