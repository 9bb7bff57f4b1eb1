"""The timelines of recipes, by hand. Their plugins stay registered, since a module is imported once."""

from __future__ import annotations

from pathlib import Path

import pytest

from artschool.build.data import train_batches
from artschool.config.when import Cycle
from artschool.plan.report import Range, Timeline
from artschool.plan.timeline import timeline
from artschool.read.read import check_file

RECIPES = Path(__file__).parents[2] / "recipes"


def recipe(name: str, *overrides: str) -> Timeline:
    config = check_file(RECIPES / f"{name}.yml", overrides)
    return timeline(config, train_batches(config))


def updates(plan: Timeline) -> dict[str, Range]:
    return {network.name: network.updates for network in plan.networks}


@pytest.mark.parametrize("file", sorted(RECIPES.glob("*.yml")), ids=lambda path: path.stem)
def test_no_recipe_asks_for_what_never_happens(file: Path) -> None:
    assert timeline(check_file(file), None, "not asked").warnings == []


def test_numbers_of_photo_sr() -> None:
    plan = recipe("photo_sr")
    assert updates(plan) == {"gen": Range(600, 600), "critic": Range(300, 300)}
    gen, critic = plan.steps
    assert [(s.first, s.last, s.losses) for s in gen.spans] == [
        (0, 319, ("pixel",)),
        (320, 599, ("pixel", "adversarial")),
    ]
    assert [(s.first, s.last, s.every) for s in critic.spans] == [(300, 599, (Cycle(1),))]
    assert gen.rates(gen.groups[0]) == [
        (0, pytest.approx(2e-3 / 30)),
        (29, 2e-3),
        (200, pytest.approx(8e-4)),
        (270, pytest.approx(3.2e-4)),
        (599, pytest.approx(3.2e-4)),
    ]
    assert [critic.rates(critic.groups[0], [299, 300])] == [[(299, None), (300, 1e-3)]]
    assert [event.count for event in (plan.evaluations[0], plan.saves, plan.logs)] == [
        Range(6, 6),
        Range(6, 6),
        Range(30, 30),
    ]
    assert plan.pictures is not None and plan.pictures.count == Range(6, 6)
    averages = {network.name: network.average for network in plan.networks}
    assert averages == {"gen": Range(600, 600), "critic": None}


@pytest.mark.parametrize(
    ("drawn", "points"),
    [
        ("{every: 3, keys: [dull, lq]}", [3, 6, 9, 12, 15, 18, 21, 24, 27, 30]),
        ("{every: 3, keys: [dull]}", [21]),
        ("{every: {of: 10, at: 1}, keys: [dull]}", [1, 11, 21]),
    ],
)
def test_images_are_counted_where_their_keys_are_written(drawn: str, points: list[int]) -> None:
    every_ten = "steps.gen.injectors.shade={type: grey, in: hq, out: dull, every: 10}"
    pictures = recipe("photo_sr", "train.iterations=30", every_ten, f"log.pictures={drawn}").pictures
    assert pictures is not None and list(pictures.points) == points
    assert pictures.count == Range(len(points), len(points))


def test_ten_million_iterations_take_no_longer() -> None:
    plan = recipe("photo_sr", "train.iterations=10000000", "steps.critic.every=7")
    # Multiples of 7 from 301 to 9,999,997: 1,428,572 from 0 on, less 43 below 301.
    assert updates(plan)["critic"] == Range(1_428_529, 1_428_529)


def test_numbers_of_digits_byol() -> None:
    plan = recipe("digits_byol")
    trained = {"encoder": 450, "projector": 450, "predictor": 450, "random": 0, "probe": 200, "random_probe": 200}
    assert updates(plan) == {name: Range(count, count) for name, count in trained.items()}
    # 1500 of 1797 digits in batches of 100.
    assert plan.samples == 65_000 and plan.epochs(650) == pytest.approx(650 / 15)
    assert [(s.spans[0].first, s.spans[-1].last) for s in plan.steps] == [(0, 449), (450, 649), (450, 649)]
    byol, probe, _ = plan.steps
    # Half a cosine: at half its period, half the rate.
    assert byol.groups[0].rate(225) == pytest.approx(1e-3)
    assert probe.groups[0].rate(550) == pytest.approx(5e-3)
    assert probe.rates(probe.groups[0], [225]) == [(225, None)]


def test_two_steps_and_a_lazy_penalty_of_digits_gan() -> None:
    plan = recipe("digits_gan")
    assert updates(plan) == {"gen": Range(1000, 1000), "critic": Range(1000, 1000), "judge": Range(300, 300)}
    assert {loss.name: loss.computed.count() for loss in plan.steps[0].losses} == {"gan": 1000, "r1": 250}
