"""Numbers that schedules change, against numbers by hand and against plain torch."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import pytest
import torch
from pydantic import Field
from torch import Tensor, nn

from artschool.errors import ConfigError
from artschool.registry import injectors, networks
from artschool.registry.signature import Scheduled
from tests.engine.toy_parts import load, same, step_of

RISING = "{type: linear, start: 0, end: 1, iterations: 4}"


def final(folder: Path, *overrides: str) -> float:
    """The weight of the shift after training: -0.5 times the sum of the gradients."""
    run, _ = load(folder, *overrides, traced=False)
    run.train()
    return float(run.networks["net"].state_dict()["weight"])


def test_the_weight_of_a_loss_follows_its_schedule(tmp_path: Path) -> None:
    assert final(tmp_path, f"steps.main.losses.mean.weight={RISING}") == -0.5 * (0.25 + 0.5 + 0.75)


def test_phases_follow_each_other_and_the_first_one_holds_before_it(tmp_path: Path) -> None:
    phases = "[{type: linear, start: 2, end: 4, iterations: 1, from: 2}, {type: constant, scale: 8, from: 3}]"
    assert final(tmp_path, f"steps.main.losses.mean.weight={phases}") == -0.5 * (2 + 2 + 2 + 8)


def test_an_option_of_a_component_follows_its_schedule(tmp_path: Path) -> None:
    scaled = f"{{type: part_scale, in: y, out: z, factor: {RISING}}}"
    overrides = [f"steps.main.injectors.scaled={scaled}", "steps.main.losses.mean.in=z"]
    assert final(tmp_path, *overrides) == -0.5 * (0.25 + 0.5 + 0.75)


def test_clipping_follows_its_schedule(tmp_path: Path) -> None:
    clip = "{type: linear, start: 0.25, end: 2, iterations: 2}"
    # Gradients of 1 are clipped to 0.25, and left alone from a norm of 1.125 on.
    assert final(tmp_path, f"steps.main.clip_grad_norm={clip}") == pytest.approx(-0.5 * (0.25 + 1 + 1 + 1), rel=1e-5)


DECAY = "{type: half_cosine, start: 0.04, end: 0.4, iterations: 3}"
BETA = "{type: linear, start: 0.5, end: 0.9, iterations: 2}"


def test_options_of_optimizers_follow_their_schedules(tmp_path: Path) -> None:
    overrides = [
        "networks.net={type: part_linear}",
        "data.train.width=4",
        "steps.main.schedule={type: linear, iterations: 8}",
        "steps.main.optimizer={type: adamw, lr: 0.1, no_decay: [bias]}",
        f"steps.main.optimizer.weight_decay={DECAY}",
        f"steps.main.optimizer.betas=[{BETA}, 0.99]",
    ]
    run, _ = load(tmp_path, *overrides, traced=False)
    net = nn.Linear(4, 4)
    net.load_state_dict(run.networks["net"].state_dict())
    groups: list[dict[str, Any]] = [{"params": [net.weight]}, {"params": [net.bias], "weight_decay": 0.0}]
    optimizer = torch.optim.AdamW(groups)
    batches = [torch.tensor([[a], [a + 1.0]]).expand(2, 4) for a in (0.0, 2.0, 4.0, 0.0)]
    decays, betas = [0.04, 0.13, 0.31, 0.4], [0.5, 0.7, 0.9, 0.9]
    for iteration, (x, decay, beta) in enumerate(zip(batches, decays, betas, strict=True)):
        for group in optimizer.param_groups:
            group |= {"lr": 0.1 * (1 - iteration / 8), "betas": (beta, 0.99)}
        optimizer.param_groups[0]["weight_decay"] = decay
        optimizer.zero_grad()
        net(x).mean().backward()
        optimizer.step()
    run.train()
    torch.testing.assert_close(dict(run.networks["net"].state_dict()), dict(net.state_dict()))


def test_a_group_has_a_schedule_of_its_own(tmp_path: Path) -> None:
    group = "[{match: net.weight, momentum: {type: constant, scale: 0.5}}]"
    overrides = [f"steps.main.optimizer.param_groups={group}", "steps.main.optimizer.momentum=0.9"]
    # Momentum of 0.5: the velocities are 1, 1.5, 1.75 and 1.875.
    assert final(tmp_path, *overrides) == -0.5 * (1 + 1.5 + 1.75 + 1.875)


def test_momentum_may_begin_at_zero(tmp_path: Path) -> None:
    momentum = "[{type: constant, scale: 0}, {type: constant, scale: 0.5, from: 2}]"
    assert final(tmp_path, f"steps.main.optimizer.momentum={momentum}") == -0.5 * (1 + 1 + 1 + 1.5)


def test_a_first_step_with_momentum_may_be_skipped(tmp_path: Path) -> None:
    momentum = "[{type: constant, scale: 0}, {type: constant, scale: 0.5, from: 2}]"
    run, _ = load(tmp_path, f"steps.main.optimizer.momentum={momentum}", "train.iterations=2", traced=False)
    run.train()
    update = step_of(run, "main").update
    assert update is not None
    run.context.iteration = 2
    buffer = update.optimizer.state[update.parameters[0]]["momentum_buffer"]
    assert buffer.item() == 0.0  # torch would leave it uninitialized.


EVERYTHING = (
    "networks={net: {type: part_linear}}",
    "data.train.width=4",
    f"steps.main.losses.mean.weight={RISING}",
    f"steps.main.optimizer={{type: adamw, lr: 0.1, weight_decay: {DECAY}, betas: [{BETA}, 0.99]}}",
    "steps.main.clip_grad_norm={type: linear, start: 0.1, end: 0.5, iterations: 5}",
    "ema={decay: {type: ramp, scale: 0.9}, networks: {net: {}, slow: {of: net, decay: 0.6, start: 3}}}",
    "checkpoint={every: 2}",
)


def test_a_resume_has_the_numbers_of_a_run_that_never_stopped(tmp_path: Path) -> None:
    (tmp_path / "whole").mkdir()
    whole, _ = load(tmp_path / "whole", *EVERYTHING, "train.iterations=6", traced=False)
    whole.train()
    half, _ = load(tmp_path, *EVERYTHING, "train.iterations=3", traced=False)
    half.train()
    rest, _ = load(tmp_path, *EVERYTHING, "train.iterations=6", traced=False)
    assert rest.iteration == 3
    rest.train()
    for entry in ("net", "slow"):
        assert same(rest.emas[entry].module.state_dict(), whole.emas[entry].module.state_dict())
    assert same(rest.networks["net"].state_dict(), whole.networks["net"].state_dict())
    update = step_of(rest, "main").update
    assert update is not None and update.scheduled.group_state() == {}  # The file has them, not the checkpoint.


def test_numbers_are_logged_when_they_have_changed(tmp_path: Path) -> None:
    run, recorder = load(tmp_path, f"steps.main.losses.mean.weight={RISING}", "train.iterations=7", traced=False)
    run.train()
    assert recorder.values("main/mean/weight") == [0.0, 0.25, 0.5, 0.75, 1.0]


def test_a_schedule_needs_a_number_that_each_call_receives(registries: None) -> None:
    class Kept(nn.Module):
        def __init__(self, scale: Scheduled = 1.0) -> None:
            super().__init__()

        def forward(self, x: Tensor) -> Tensor:
            return x

    for registry in (injectors, networks):
        with pytest.raises(ConfigError, match=r"parameter 'scale' is Scheduled, but is given only once\. Fix"):
            registry.register("kept", Kept)


def test_bounds_of_an_option_hold_for_its_schedule(tmp_path: Path, registries: None) -> None:
    @injectors.register("part_warm")
    def warm(x: Tensor, *, temperature: Annotated[Scheduled, Field(gt=0)] = 1.0) -> Tensor:
        return x / temperature

    falling = "{type: linear, start: 1, end: 0, iterations: 3}"
    for given, message in (
        (falling, "expected more than 0, got 0 at iteration 3"),
        ("0", "expected more than 0, got 0"),
    ):
        with pytest.raises(ConfigError) as error:
            load(tmp_path, f"steps.main.injectors.warm={{type: part_warm, in: y, out: z, temperature: {given}}}")
        assert [fault.message for fault in error.value.faults][:1] == [message]


def test_a_schedule_that_fails_is_a_fault(tmp_path: Path, registries: None) -> None:
    from artschool.registry import schedules

    @schedules.register("part_broken")
    def broken(rate: float, iteration: int) -> Any:
        return rate / (3 - iteration)

    with pytest.raises(ConfigError, match="fails at iteration 3: ZeroDivisionError"):
        load(tmp_path, "steps.main.losses.mean.weight={type: part_broken}")
