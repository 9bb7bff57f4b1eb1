"""A step that updates with the optimizer of another step: one state, one schedule, one place of options."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from torch import nn

from artschool.engine.run import Run
from tests.engine import toy_run
from tests.engine.test_ranks import finish, launch
from tests.engine.toy_parts import __file__ as parts
from tests.engine.toy_run import fingerprint, recorded, write
from tests.reports.small import artschool

pytestmark = pytest.mark.usefixtures("registries")

TEXT = """
name: shared
plugins: [PLUGIN]
data: {train: {type: part_samples, length: 6, width: 4, batch_size: 2, shuffle: false}}
networks: {net: {type: part_linear}, other: {type: part_linear}}
steps:
  again:
    trains: net
    every: 2
    optimizer: {of: main}
    clip_grad_norm: 0.5
    injectors: {z: {type: forward, network: net, in: x, out: z}}
    losses: {same: {type: l2, in: [z, x], weight: 1.0}}
  main:
    trains: [other, net]
    optimizer: {type: adam, lr: 0.1}
    schedule: {type: step, step_size: 3}
    injectors:
      y: {type: forward, network: net, in: x, out: y}
      w: {type: forward, network: other, in: y, out: w}
    losses: {mean: {type: mean, in: w, weight: 1.0}}
train: {iterations: 8, device: cpu}
log: {every: 1}
checkpoint: {keep_last: 5}
""".replace("PLUGIN", parts)
SEPARATE = "steps.again.optimizer={type: adam, lr: 0.1}"


def trained(folder: Path, *overrides: str) -> Run:
    folder.mkdir(exist_ok=True)
    run = toy_run.load(folder, *overrides, text=TEXT)
    recorded(run)
    return run.train()


def by_hand(folder: Path, iterations: int, *, half: bool) -> dict[str, torch.Tensor]:
    folder.mkdir()
    scaler = torch.amp.GradScaler("cpu", enabled=half)

    def update(loss: Callable[[torch.Tensor], torch.Tensor], x: torch.Tensor, clip: float | None = None) -> None:
        optimizer.zero_grad()
        with torch.autocast("cpu", dtype=torch.float16, enabled=half):
            value = loss(x)
        scaler.scale(value).backward()  # type: ignore[no-untyped-call]  # torch
        scaler.unscale_(optimizer)
        if clip is not None:
            nn.utils.clip_grad_norm_(net.parameters(), clip)
        scaler.step(optimizer)
        scaler.update()

    run = toy_run.load(folder, text=TEXT)
    net, other = run.networks["net"].requires_grad_(True), run.networks["other"].requires_grad_(True)
    optimizer = torch.optim.Adam([*other.parameters(), *net.parameters()], lr=0.1)
    for iteration in range(iterations):
        x = torch.tensor([[2.0 * iteration % 6], [2.0 * iteration % 6 + 1]]).expand(2, 4)
        optimizer.param_groups[0]["lr"] = 0.1 * 0.1 ** (iteration // 3)
        if iteration % 2 == 0:
            update(lambda x: nn.functional.mse_loss(net(x).float(), x), x, clip=0.5)
        update(lambda x: other(net(x)).float().mean(), x)
    return {
        f"{name}.{key}": value for name in ("net", "other") for key, value in run.networks[name].state_dict().items()
    }


def weights(run: Run) -> dict[str, torch.Tensor]:
    return {f"{name}.{key}": value for name, net in run.networks.items() for key, value in net.state_dict().items()}


@pytest.mark.parametrize("override", ["train.accumulate=1", "train.accumulate=2", "train.precision=fp16"])
def test_two_steps_with_one_optimizer_are_a_loop_that_calls_it_twice(tmp_path: Path, override: str) -> None:
    run = trained(tmp_path / "run", override)
    expected = by_hand(tmp_path / "hand", 8, half="fp16" in override)
    torch.testing.assert_close(weights(run), expected, rtol=0, atol=1e-6)
    again, main = (step.update for step in run.steps)
    assert again is not None and main is not None
    assert (again.count, main.count) == (4, 8)
    steps = {name: int(main.optimizer.state[net.get_parameter("weight")]["step"]) for name, net in run.networks.items()}
    skipped = again.skips().total, main.skips().total
    assert steps == {"net": 12 - sum(skipped), "other": 8 - skipped[1]}
    assert (sum(skipped) > 0) == ("fp16" in override)


def test_an_optimizer_of_its_own_is_something_else(tmp_path: Path) -> None:
    assert fingerprint(trained(tmp_path / "a")) != fingerprint(trained(tmp_path / "b", SEPARATE))


@pytest.mark.parametrize(
    "overrides", [(), ("train.precision=fp16",), ("steps.again.batch_sizing={max_full_batches: 2}",)]
)
def test_a_resume_has_the_bits_and_the_state_is_saved_once(tmp_path: Path, overrides: tuple[str, ...]) -> None:
    whole = trained(tmp_path / "whole", *overrides)
    trained(tmp_path / "parts", *overrides, "train.iterations=5")
    assert fingerprint(trained(tmp_path / "parts", *overrides)) == fingerprint(whole)
    saved = load_file(tmp_path / "whole/run/checkpoints/00000008/state.optimizers.safetensors")
    assert saved and all(name.startswith("main/") for name in saved)


def reported(folder: Path, *overrides: str) -> str:
    """What a resume after iteration 5 says."""
    file = write(folder, *overrides, text=TEXT)
    return artschool("train", str(file), "--run-dir", str(folder / "run"), "--no-trace")[1]


def test_a_resume_reports_an_optimizer_that_is_shared_from_now_on(tmp_path: Path) -> None:
    trained(tmp_path, SEPARATE, "train.iterations=5")
    printed = reported(tmp_path)
    assert "kept: network net, network other, optimizer of steps.main" in printed
    assert "dropped: optimizer of steps.again, which now uses that of another step" in printed


@pytest.mark.parametrize("precision", ["fp32", "fp16"])
def test_a_resume_reports_an_optimizer_that_is_no_longer_shared(tmp_path: Path, precision: str) -> None:
    trained(tmp_path, "train.iterations=5", f"train.precision={precision}")
    printed = reported(tmp_path, SEPARATE, f"train.precision={precision}")
    assert "new: optimizer of steps.again: starts without state; it was that of another step" in printed


def test_plan_check_explain_graph_and_diff_know_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    write(tmp_path, text=TEXT).rename("one.yml")
    write(tmp_path, SEPARATE, text=TEXT)
    _, plan = artschool("plan", "one.yml")
    assert "rate         0.1 at 0, 0.01 at 4, 0.001 at 6" in plan and "network net    12 updates" in plan
    _, checked = artschool("check", "one.yml", "--trace")
    assert "trains net with the optimizer of main, every 2" in checked
    # The weights (4, 4) and biases (4,) of two networks, and two moments of each with a step count: once.
    assert "optimizer state  336 bytes" in checked
    assert "updated by  steps.main.optimizer" in artschool("explain", "one.yml", "steps.again")[1]
    assert "with the optimizer of main" in artschool("graph", "one.yml")[1]
    assert "steps.again.optimizer" in artschool("diff", "one.yml", "toy.yml")[1]


@pytest.mark.soak
@pytest.mark.parametrize("override", ["steps.main.optimizer.shard=true", "train.parallel=shard"])
def test_two_processes_have_the_weights_of_one(tmp_path: Path, override: str) -> None:
    """Over five seconds: two processes import torch."""
    one = trained(tmp_path / "one")
    code, output = finish(launch(tmp_path, write(tmp_path, override, text=TEXT), 2))
    assert code == 0, output
    two = toy_run.load(tmp_path, text=TEXT, allow=["train.parallel"])  # It is finished, so other bits would be refused.
    assert two.iteration == 8
    torch.testing.assert_close(weights(two), weights(one), rtol=0, atol=1e-5)
    states = [{**step.update.optimizer.state} for run in (one, two) for step in run.steps if step.update is not None]
    assert all(len(state) == 4 for state in states)
