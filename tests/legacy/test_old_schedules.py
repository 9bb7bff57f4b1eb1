"""The learning-rate schemes. What they come to at each iteration is proven by the golden cases of kind `lr`."""

from __future__ import annotations

from typing import Any

import pytest
from old_text import node, silent, told

from artschool.legacy.rules import Notes
from artschool.legacy.schedules import ALL_OPTIONS, convert_schedule


def convert(text: str) -> tuple[Any, Notes]:
    notes = Notes()
    converted = convert_schedule(node(text), notes)
    return converted and converted.plain(), notes


def test_milestones_move_by_one_and_it_is_told() -> None:
    converted, notes = convert("default_lr_scheme: MultiStepLR\ngen_lr_steps: [20, 40]\nlr_gamma: 0.5\nwarmup_iter: -1")
    assert converted == {"type": "multi_step", "milestones": [19, 39], "gamma": 0.5}
    assert told(notes.warnings) == [
        "2:1: train.gen_lr_steps: the milestones 20, 40 acted one iteration early in the reference; each is one less "
        "here"
    ]


def test_options_of_every_scheme_are_known_and_nothing_else_is() -> None:
    assert {"T_period", "gen_lr_steps", "progressive_starts"} <= ALL_OPTIONS
    assert min(map(len, ALL_OPTIONS)) > 1


def test_milestones_keep_their_places() -> None:
    converted = convert_schedule(node("gen_lr_steps:\n  - 20\n  - 40"), Notes())
    assert converted is not None
    milestones = converted.get("milestones")
    assert milestones is not None and isinstance(milestones.value, list)
    assert [item.place.line for item in milestones.value] == [2, 3]


def test_a_restart_begins_a_phase_with_the_milestones_that_follow() -> None:
    converted, _ = convert("{gen_lr_steps: [10, 31, 50], restarts: [30], restart_weights: [0.8], lr_gamma: 0.1}")
    assert converted == [
        {"type": "multi_step", "milestones": [9], "gamma": 0.1},
        {"type": "multi_step", "from": 30, "scale": 0.8, "milestones": [0, 19], "gamma": 0.1},
    ]


def test_a_milestone_just_at_a_restart_acts_before_it() -> None:
    converted, _ = convert("{gen_lr_steps: [30], restarts: [30]}")
    assert converted == [
        {"type": "multi_step", "milestones": [29]},
        {"type": "multi_step", "from": 30, "milestones": []},
    ]


def test_cosine_holds_the_rate_while_it_warms_up() -> None:
    converted, notes = convert(
        "{default_lr_scheme: CosineAnnealingLR_Restart, T_period: [40, 20], warmup: 5, eta_min: 0.1, "
        "restarts: [40], restart_weights: [0.5]}"
    )
    assert converted == [
        {"type": "cosine_annealing", "from": 4, "period": 40, "eta_min": 0.1},
        {"type": "cosine_annealing", "from": 45, "scale": 0.5, "period": 20, "eta_min": 0.1},
    ]
    assert silent(notes)


def test_cosine_without_warmup_starts_at_once() -> None:
    converted, _ = convert("{default_lr_scheme: CosineAnnealingLR_Restart, T_period: [40]}")
    assert converted == {"type": "cosine_annealing", "period": 40}


@pytest.mark.parametrize("text", ["{niter: 3}", "{default_lr_scheme: MultiStepLR, gen_lr_steps: [], lr_gamma: 0.5}"])
def test_a_constant_rate_needs_no_schedule(text: str) -> None:
    converted, notes = convert(text)
    assert converted is None
    assert silent(notes)


def test_a_warmup_belongs_to_the_first_phase_and_reaches_its_rate() -> None:
    converted, notes = convert("gen_lr_steps: []\nwarmup_iter: 10")
    assert converted == {"type": "constant", "warmup": 10}
    assert told(notes.warnings) == [
        "2:1: train.warmup_iter: the warm-up reaches the full rate; the reference stayed at (n - 1) / n of it, for good"
    ]
    converted, notes = convert(
        "{default_lr_scheme: CosineAnnealingLR_Restart, T_period: [9], warmup: 20, warmup_iter: 10}"
    )
    assert converted == [
        {"type": "constant", "warmup": 10},
        {"type": "cosine_annealing", "from": 19, "period": 9},
    ]


def test_the_scheme_s_own_warmup_means_the_same() -> None:
    converted, notes = convert("{gen_lr_steps: [], restarts: [], warmup_steps: 10}")
    assert converted == {"type": "constant", "warmup": 10}
    assert silent(notes)


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        (
            "{default_lr_scheme: ProgressiveMultiStepLR}",
            "1:2: train.default_lr_scheme: the reference's scheme 'ProgressiveMultiStepLR' has no counterpart",
        ),
        (
            "{default_lr_scheme: CosineAnnealingLR_Restart, restarts: [9], T_period: [9]}",
            "1:63: train.T_period: names 1 periods for 2 phases; give one for each, restarts included",
        ),
        ("{gen_lr_steps: [20, 5.5]}", "1:21: train.gen_lr_steps: is an iteration, a whole number, not 5.5"),
        (
            "{default_lr_scheme: Cosine}",
            "1:2: train.default_lr_scheme: the reference's scheme 'Cosine' does not exist",
        ),
        (
            "{clear_state: true}",
            "1:2: train.clear_state: 'clear_state' of the reference's schemes has no counterpart",
        ),
    ],
)
def test_what_has_no_counterpart_is_refused_by_name(text: str, fault: str) -> None:
    _, notes = convert(text)
    assert told(notes.faults) == [fault]
