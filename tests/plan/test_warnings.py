"""What never happens is a warning, and only what certainly never happens."""

from __future__ import annotations

from pathlib import Path

import pytest

from artschool.build.data import train_batches
from artschool.plan.timeline import timeline
from artschool.read.read import check_file
from tests.engine import toy_run

pytestmark = pytest.mark.usefixtures("registries")


def never(folder: Path, *overrides: str) -> list[str]:
    config = check_file(toy_run.write(folder, *overrides))
    return [f"{fault.path}: {fault.message}" for fault in timeline(config, train_batches(config)).warnings]


def test_a_sound_file_has_nothing_that_never_happens(tmp_path: Path) -> None:
    assert never(tmp_path) == []


@pytest.mark.parametrize(
    ("override", "said"),
    [
        (
            "steps.gen.losses.adversarial.after=20",
            "steps.gen.losses.adversarial: never runs: it is active after 20, and training ends after 20 iterations",
        ),
        (
            "steps.gen.losses.adversarial={type: l1, in: [sr, hq], weight: 1.0, after: 9, before: 7}",
            "steps.gen.losses.adversarial: never runs: it is active after 9, before 7",
        ),
        (
            "steps.gen.schedule.milestones=[12, 20]",
            "steps.gen.schedule.milestones: iteration 20 is never reached: the last update is at iteration 19",
        ),
        (
            "steps.gen.schedule=[{type: constant}, {type: constant, from: 20}]",
            "steps.gen.schedule.1: has no effect: it starts at iteration 20, and the last update is at iteration 19",
        ),
        (
            "steps.gen.schedule=[{type: multi_step, milestones: [3, 10]}, {type: constant, from: 10}]",
            "steps.gen.schedule.0.milestones: iteration 10 is never reached: the next phase starts at iteration 10",
        ),
        (
            "steps.gen.schedule={type: constant, warmup: 21}",
            "steps.gen.schedule: never reaches its full rate: its warm-up lasts until iteration 20, "
            "and the last update is at iteration 19",
        ),
        (
            "steps.gen.losses.pixel.weight=[{type: constant}, {type: constant, from: 20}]",
            "steps.gen.losses.pixel.weight.1: has no effect: it starts at iteration 20, and the last iteration is 19",
        ),
        (
            "ema.networks={gen: {start: 20}}",
            "ema.networks.gen.start: always equals its network: it starts at iteration 20, "
            "and training ends after 20 iterations",
        ),
        (
            "steps.critic.optimizer.after=20",
            "steps.critic.optimizer: never updates: it is active after 20, and training ends after 20 iterations",
        ),
        (
            "networks.critic.after=30",
            "networks.critic: steps.critic never updates it: it is active after 30, "
            "and training ends after 20 iterations",
        ),
        (
            "steps.gen.callbacks.size={type: update_size, after: 25}",
            "steps.gen.callbacks.size: never runs: it is active after 25, and training ends after 20 iterations",
        ),
        (
            "log.pictures={every: 21, keys: [lq]}",
            "log.pictures.every: no image is logged: the interval is 21 iterations, and training ends after 20",
        ),
        (
            "steps.critic.optimizer.after=19",  # Every second one: 18 is the last.
            "steps.critic.optimizer: never updates: it is active after 19, and the step trains after 4, every 2",
        ),
    ],
)
def test_what_never_happens_is_told(tmp_path: Path, override: str, said: str) -> None:
    assert never(tmp_path, override) == [said]


def test_what_happens_at_the_last_moment_is_not_told(tmp_path: Path) -> None:
    overrides = [
        "steps.gen.losses.adversarial.after=19",
        "steps.gen.schedule=[{type: multi_step, milestones: [18], warmup: 19}, "
        "{type: multi_step, from: 19, milestones: [0]}]",
        "steps.critic.optimizer.after=18",
        "networks.critic.after=18",
        "log.pictures={every: 20, keys: [lq]}",
    ]
    assert never(tmp_path, *overrides) == []


def test_a_step_whose_multiples_are_none_never_trains(tmp_path: Path) -> None:
    assert never(tmp_path, "steps.critic.every=30") == [
        "steps.critic: never trains: it is active after 4, every 30, and training ends after 20 iterations"
    ]


def test_a_step_whose_losses_are_never_active_when_it_would_train(tmp_path: Path) -> None:
    loss = (
        "{type: discriminator_gan, kind: hinge, network: critic, fake: sr, real: hq, weight: 1.0, after: 7, before: 7}"
    )
    assert never(tmp_path, f"steps.critic.losses.gan={loss}") == [
        "steps.critic: never trains: its losses are never active when its gates are open"
    ]


def test_a_loss_between_the_updates_moves_nothing(tmp_path: Path) -> None:
    loss = (
        "{type: discriminator_gan, kind: hinge, network: critic, fake: sr, real: hq, weight: 1.0, after: 7, before: 7}"
    )
    assert never(tmp_path, f"steps.critic.losses.between={loss}") == [
        "steps.critic.losses.between: trains nothing: it is active after 7, before 7, and its step never trains then"
    ]


def test_an_average_of_what_nothing_moves(tmp_path: Path) -> None:
    assert never(tmp_path, "ema.networks=[gen, critic]", "steps.critic.optimizer=none") == [
        "ema.networks: the average of 'critic' never changes: no step updates 'critic'"
    ]


def test_an_average_that_first_moves_after_the_end(tmp_path: Path) -> None:
    assert never(tmp_path, "ema.networks={gen: {every: {of: 30, at: 19}}}") == []
    assert never(tmp_path, "ema.networks={gen: {every: {of: 30, at: 20}}}") == [
        "ema.networks.gen.every: the average never changes: it first moves at iteration 20, "
        "and training ends after 20 iterations"
    ]


def test_epochs_give_the_same_warnings_as_iterations(tmp_path: Path) -> None:
    # Five batches an epoch.
    overrides = ["steps.gen.losses.adversarial.after=20", "train.iterations=null", "train.epochs=4"]
    assert never(tmp_path, *overrides) == never(tmp_path, "steps.gen.losses.adversarial.after=20")


def test_a_run_that_begins_late_tells_what_is_over(tmp_path: Path) -> None:
    assert never(tmp_path, "train.start_iteration=10", "steps.gen.losses.adversarial.before=9") == [
        "steps.gen.losses.adversarial: never runs: it is active after 6, before 9, and training begins at iteration 10"
    ]


def test_pictures_that_were_due_before_the_run_begins_are_not_drawn(tmp_path: Path) -> None:
    pictures = "log.pictures={every: 8, keys: [lq]}"
    assert never(tmp_path, pictures, "train.start_iteration=15") == []  # After 16 finished ones.
    assert never(tmp_path, pictures, "train.start_iteration=16") == [
        "log.pictures.every: no image is logged: the interval is 8 iterations, and training ends after 20"
    ]
