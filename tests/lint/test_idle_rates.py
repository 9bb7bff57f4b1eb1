"""Every way in which a learning rate is 0 whenever its step trains, and the like that are sound."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.lint.judged import GAN, changed, judged

pytestmark = pytest.mark.usefixtures("registries")
OVER = "has brought the learning rate to almost 0 when the step first trains, at iteration 500, and it stays there"
NEVER = "keeps the learning rate at almost 0, also when the step first trains, at iteration 500"
OPTIMIZER = "optimizer: {type: adam, lr: 4e-4, betas: [0.0, 0.9]}"


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def messages(text: str, *rules: str) -> list[str]:
    return [f"{found.fault.path}: {found.fault.message}" for found in judged(text) if found.rule in rules]


@pytest.mark.parametrize(
    ("schedule", "says"),
    [
        ("{type: linear, iterations: 300}", OVER),
        ("{type: linear, iterations: 900}", ""),
        ("{type: linear, iterations: 300, end: 0.1}", ""),
        ("{type: polynomial, iterations: 500}", OVER),
        ("{type: polynomial, iterations: 502}", ""),  # Tiny, but it moves something: `idle-end` asks about the rest.
        ("{type: multi_step, milestones: [20], gamma: 0}", OVER),
        ("{type: multi_step, milestones: [20, 30], gamma: 0.1}", ""),
        ("{type: step, step_size: 100, gamma: 0.1}", OVER),
        ("{type: exponential, gamma: 0.9}", OVER),
        ("{type: constant, from: 500, scale: 0}", NEVER),
        ("{type: multi_step, milestones: [0], gamma: 0, from: 500}", NEVER),
        ("{type: cosine_annealing, period: 300, eta_min: 4e-6}", ""),
        ("{type: cosine_annealing, period: 300, warmup: 900}", OVER),
        ("{type: cosine_annealing_warm_restarts, period: 250}", ""),
        ("[{type: linear, iterations: 300}, {type: constant, from: 700}]", ""),
        ("[{type: constant}, {type: linear, from: 10, iterations: 300}]", OVER),
    ],
)
def test_a_schedule_that_is_over_is_found(schedule: str, says: str) -> None:
    text = changed(GAN, (OPTIMIZER, f"{OPTIMIZER}\n    schedule: {schedule}"))
    found = [message.partition(": ")[2] for message in messages(text, "idle-schedule")]
    assert found == ([says] if says else [])


@pytest.mark.parametrize(
    "change",
    [
        ("after: 500", "every: 2"),  # A step of the whole run.
        ("train: {iterations: 800", "train: {iterations: 490"),  # The step never trains.
    ],
)
def test_a_step_of_the_whole_run_or_of_no_iteration_is_no_matter_of_its_schedule(change: tuple[str, str]) -> None:
    schedule = f"{OPTIMIZER}\n    schedule: {{type: linear, iterations: 300}}"
    assert messages(changed(GAN, (OPTIMIZER, schedule), change), "idle-schedule") == []


@pytest.mark.parametrize(
    ("changes", "at"),
    [
        ([("type: patch_critic, width: 24", "type: patch_critic, width: 24, after: 600")], 600),
        ([("real: hq, weight: 1.0", "real: hq, weight: 1.0, after: 650"), ("every: 4}", "every: 4, after: 700}")], 650),
        ([("real: hq, weight: 1.0", "real: hq, weight: 0"), ("every: 4}", "every: 4, after: 700}")], 700),
        ([("lr: 4e-4, betas: [0.0, 0.9]", "lr: 4e-4, betas: [0.0, 0.9], after: 600")], 600),
    ],
)
def test_gates_of_networks_losses_and_optimizers_count(changes: list[tuple[str, str]], at: int) -> None:
    text = changed(GAN, *changes).replace("after: 500\n", "after: 5\n    schedule: {type: linear, iterations: 550}\n")
    assert messages(text, "idle-schedule") == [
        "steps.critic.schedule: has brought the learning rate to almost 0 when the step first trains, "
        f"at iteration {at}, and it stays there"
    ]


def test_one_network_of_a_step_is_named() -> None:
    text = changed(
        GAN,
        ("    trains: gen\n", "    trains: [gen, critic]\n"),
        ("schedule: {type: multi_step, milestones: [400], warmup: 30}", "schedule: {type: linear, iterations: 400}"),
        ("type: patch_critic, width: 24", "type: patch_critic, width: 24, after: 600"),
    )
    assert messages(text, "idle-schedule") == [
        "steps.gen.schedule: has brought the learning rate to almost 0 when the step first trains 'critic', "
        "at iteration 600, and it stays there"
    ]


def test_a_group_whose_schedule_starts_later_is_sound_and_one_without_a_rate_is_not() -> None:
    late = "optimizer: {type: adam, lr: 4e-4, betas: [0.0, 0.9], param_groups: [{match: '*', schedule_from: 500}]}"
    text = changed(GAN, (OPTIMIZER, f"{late}\n    schedule: {{type: linear, iterations: 300}}"))
    assert len(messages(text, "idle-schedule")) == 1  # Of the parameters that no pattern matches.
    none = "optimizer: {type: adam, lr: 4e-4, betas: [0.0, 0.9], param_groups: [{match: '*.bias', lr: 0}]}"
    assert messages(changed(GAN, (OPTIMIZER, none)), "rate-zero", "idle-schedule") == [
        "steps.critic.optimizer.param_groups.0.lr: is 0, so the parameters of the group never change"
    ]
