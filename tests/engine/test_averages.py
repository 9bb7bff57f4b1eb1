"""Averages in one kernel: the numbers of `decay * average + (1 - decay) * weights`, whatever the tensors look like."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest
import torch
from rich.console import Console
from torch import Tensor, nn
from torch.profiler import ProfilerActivity, profile

from artschool.config.average_sections import Buffers
from artschool.config.iterations import Iterations
from artschool.config.when import When
from artschool.engine.ema import Ema
from artschool.errors import ConfigError
from tests.engine.toy_parts import load

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
        self.short = nn.Parameter(draw(80).bfloat16())
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
    with profile(activities=[ProfilerActivity.CPU], acc_events=True) as profiled:
        ema.update([flag])
    calls = Counter(event.name for event in profiled.events() or ())
    assert calls["aten::_fused_sgd_"] == 1
    assert not [name for name in calls if "lerp" in name or "_foreach_copy" in name]
    assert calls["aten::copy_"] <= 1  # That of the flag, and none of the ten weights.


class Counting(nn.Module):
    """A weight, a buffer with numbers, and one that counts."""

    mean: Tensor
    count: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.tensor(0.0))
        self.register_buffer("mean", torch.tensor(0.0))
        self.register_buffer("count", torch.tensor(0))


@pytest.mark.parametrize(("buffers", "mean", "count"), [("copy", 4.0, 8), ("average", 1.0, 8), ("own", 0.0, 0)])
def test_buffers_are_copied_averaged_or_left_alone(buffers: Buffers, mean: float, count: int) -> None:
    network = Counting()
    ema = Ema(network, 0.75, buffers)
    with torch.no_grad():
        network.weight.add_(4)
        network.mean += 4
        network.count += 8
    ema.update([None])
    assert {name: value.item() for name, value in ema.module.state_dict().items()} == {
        "weight": 1.0,
        "mean": mean,
        "count": count,
    }
    ema.restart()
    assert ema.module.get_buffer("mean").item() == 4.0


def test_a_decay_of_zero_makes_the_average_equal_and_another_one_follows() -> None:
    network, exact = nn.Linear(3, 3), nn.Linear(3, 3)
    ema = Ema(network, 0.9)
    network.load_state_dict(exact.state_dict())
    ema.set_decay(0.0)
    ema.update([None])
    assert torch.equal(ema.module.get_parameter("weight"), exact.weight)
    with torch.no_grad():
        network.weight.add_(1)
    ema.set_decay(0.75)
    ema.update([None])
    torch.testing.assert_close(ema.module.get_parameter("weight"), exact.weight + 0.25)


def test_several_averages_of_one_network(tmp_path: Path) -> None:
    ema = "{decay: 0.5, networks: {net: {}, slow: {of: net, decay: 0.75, start: 2}, first: {of: net, start: 9}}}"
    run, snapshots = load(tmp_path, f"ema={ema}", "steps.main.optimizer.lr=1.0")
    run.train()
    assert snapshots.weights("net") == [0.0, -1.0, -2.0, -3.0, -4.0]
    assert snapshots.weights("net.ema") == [0.0, -0.5, -1.25, -2.125, -3.0625]
    assert snapshots.weights("net.slow") == [0.0, -1.0, -2.0, -2.25, -2.6875]  # Equal before iteration 2.
    assert snapshots.weights("net.first") == snapshots.weights("net")
    names = {path.stem for path in (tmp_path / "run/checkpoints/00000004").glob("net*.safetensors")}
    assert names == {"net", "net.ema", "net.slow", "net.first"}


def test_an_average_with_an_interval_moves_only_there() -> None:
    network = nn.Linear(1, 1, bias=False)
    ema = Ema(network, 0.5, of="net", due=Iterations.of([When(every=3, at=2)]))
    with torch.no_grad():
        network.weight.zero_()
        ema.restart()
        found = []
        for iteration in range(9):
            network.weight += 8
            ema.follow(iteration, {"net": [None]} if iteration != 5 else {})
            found.append(ema.module.get_parameter("weight").item())
    # 24 at iteration 2, 48 at 5 and 72 at 8.
    assert found == [0.0, 0.0, 12.0, 12.0, 12.0, 30.0, 30.0, 30.0, 51.0]


def test_averages_at_intervals(tmp_path: Path) -> None:
    """A copy as in DQN, one of every second iteration as in TD3, one that begins late, and one with a remainder."""
    entries = [
        "target: {of: net, decay: 0, every: 3}",
        "slow: {of: net, decay: 0.5, every: 2}",
        "late: {of: net, decay: 0.5, every: 4, start: 3}",
        "last: {of: net, decay: 0, every: {of: 3, at: 2}}",
    ]
    ema = f"ema={{networks: {{{', '.join(entries)}}}}}"
    run, snapshots = load(tmp_path, ema, "steps.main.optimizer.lr=1.0", "train.iterations=8")
    run.train()
    assert snapshots.weights("net") == [0.0, -1.0, -2.0, -3.0, -4.0, -5.0, -6.0, -7.0, -8.0]
    assert snapshots.weights("net.target") == [0.0, -1.0, -1.0, -1.0, -4.0, -4.0, -4.0, -7.0, -7.0]
    assert snapshots.weights("net.slow") == [0.0, -0.5, -0.5, -1.75, -1.75, -3.375, -3.375, -5.1875, -5.1875]
    assert snapshots.weights("net.late") == [0.0, -1.0, -2.0, -3.0, -3.0, -4.0, -4.0, -4.0, -4.0]
    assert snapshots.weights("net.last") == [0.0, 0.0, 0.0, -3.0, -3.0, -3.0, -6.0, -6.0, -6.0]


def test_an_average_with_an_interval_moves_where_its_network_does_not(tmp_path: Path) -> None:
    ema = "ema={networks: {target: {of: net, decay: 0, every: 2}}}"
    gates = ("steps.main.every={of: 2, at: 1}", "steps.main.optimizer.lr=1.0")
    run, snapshots = load(tmp_path, ema, *gates, "train.iterations=5")
    run.train()
    assert snapshots.weights("net") == [0.0, 0.0, -1.0, -1.0, -2.0, -2.0]
    assert snapshots.weights("net.target") == [0.0, 0.0, 0.0, -1.0, -1.0, -2.0]


def test_a_skipped_update_does_not_hold_back_an_average_with_an_interval(tmp_path: Path) -> None:
    overrides = ("steps.main.losses.mean={type: part_spoil, in: y, at: [2], weight: 1.0}", "train.non_finite=skip")
    ema = "ema={networks: {net: 0.0, target: {of: net, decay: 0, every: 2}}}"
    run, snapshots = load(tmp_path, ema, *overrides, "steps.main.optimizer.lr=1.0", traced=False)
    run.train()
    assert snapshots.weights("net") == [0.0, -1.0, -2.0, -2.0, -3.0]
    assert snapshots.weights("net.target") == [0.0, -1.0, -1.0, -2.0, -2.0]


def test_a_step_reads_an_average_before_it_moves_and_a_resume_keeps_its_rhythm(tmp_path: Path) -> None:
    overrides = (
        "ema={networks: {target: {of: net, decay: 0.25, every: {of: 3, at: 1}}}}",
        "steps.main.injectors.aim={type: forward, network: net.target, in: x, out: aim}",
        "steps.main.losses.far={type: l2, in: [y, aim], weight: 1.0}",
    )
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    straight, expected = load(tmp_path / "a", *overrides, "train.iterations=8", traced=False)
    straight.train()
    assert expected.values("main/far")[:2] == [0.0, 0.25]  # The weight after one update, and the initial one.
    load(tmp_path / "b", *overrides, "train.iterations=3", traced=False)[0].train()
    run, snapshots = load(tmp_path / "b", *overrides, "train.iterations=8", traced=False)
    run.train()
    assert snapshots.weights("net.target")[1:] == expected.weights("net.target")[4:]
    assert snapshots.weights("net")[1:] == expected.weights("net")[4:]


def test_a_resume_reports_averages_by_name(tmp_path: Path) -> None:
    load(tmp_path, "ema={networks: {net: 0.5, old: {of: net}}}", traced=False)[0].train()
    console = Console(record=True, width=200)
    overrides = ("ema={networks: {net: 0.5, new: {of: net}}}", "train.iterations=6")
    run, _ = load(tmp_path, *overrides, traced=False, console=console)
    text = console.export_text()
    assert "moving average net.new" in text and "moving average net.old" in text
    assert torch.equal(run.emas["new"].module.get_parameter("weight"), run.networks["net"].get_parameter("weight"))


@pytest.mark.parametrize(
    ("chosen", "network"), [("true", "net.ema"), ("net.slow", "net.slow"), ("[net.slow]", "net.slow"), ("false", "net")]
)
def test_an_evaluation_chooses_an_average(tmp_path: Path, chosen: str, network: str) -> None:
    injectors = "{y: {type: forward, network: net, in: x, out: y}}"
    evaluation = f"{{data: train, ema: {chosen}, injectors: {injectors}, metrics: {{y: {{type: part_mean, in: y}}}}}}"
    overrides = ("ema={networks: {net: 0.5, slow: {of: net, decay: 0.9}}}", f"evaluate={{one: {evaluation}}}")
    run, snapshots = load(tmp_path, *overrides, traced=False)
    run.train()
    assert snapshots.values("one/y")[-1] == pytest.approx(2.5 + snapshots.weights(network)[-1])


def test_an_average_with_buffers_of_its_own_trains_along(tmp_path: Path) -> None:
    overrides = (
        "networks={net: {type: part_norm}}",
        "data.train.width=3",
        "steps.main.injectors.teach={type: forward, network: net.ema, in: x, out: taught}",
        "steps.main.losses.mean.in=taught",
        "steps.main.losses.own={type: mean, in: y, weight: 1.0}",
        "ema={networks: {net: {buffers: own}}}",
        "evaluate={one: {data: train, steps: [main]}}",
    )
    run, _ = load(tmp_path, *overrides, traced=False)
    run.train()
    teacher = run.emas["net"].module
    assert teacher.training and teacher.get_buffer("num_batches_tracked").item() == 4
    assert not torch.equal(teacher.get_buffer("running_mean"), torch.zeros(3))


def test_lazy_modules_are_refused_with_their_own_reason() -> None:
    with pytest.raises(ConfigError, match="cannot be averaged: it has lazy modules"):
        Ema(nn.Sequential(nn.Linear(2, 2), nn.LazyBatchNorm1d(affine=False)), 0.9)
