"""The learning-rate schemes. What they come to at each iteration is proven by the golden cases of kind `lr`."""

from __future__ import annotations

from typing import Any

import pytest

from artschool.legacy.rules import Notes
from artschool.legacy.schedules import ADVICE, ALL_OPTIONS, convert_schedule
from tests.legacy.old_text import node, silent, told


def convert(text: str) -> tuple[Any, Notes]:
    notes = Notes()
    converted = convert_schedule(node(text), notes)
    return converted and converted.plain(), notes


def test_milestones_move_by_one_and_it_is_told() -> None:
    converted, notes = convert("default_lr_scheme: MultiStepLR\ngen_lr_steps: [20, 40]\nlr_gamma: 0.5\nwarmup_iter: -1")
    assert converted == {"type": "multi_step", "milestones": [19, 39], "gamma": 0.5}
    assert not notes.warnings
    assert told(notes.remarks) == [
        "2:1: train.gen_lr_steps: milestones 20, 40 took effect one iteration early in the reference, so each is "
        "reduced by one; the rates are the same"
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


def test_a_cosine_that_rose_again_after_its_period_is_told() -> None:
    text = "{default_lr_scheme: CosineAnnealingLR_Restart, T_period: [40, 20], restarts: [50], niter: %d}"
    message = "after %d iterations the rate stays at eta_min; in the reference it rose again"
    first = f"1:59: train.T_period: {message % 40}"
    assert told(convert(text % 70)[1].warnings) == [first]
    assert told(convert(text % 90)[1].warnings) == [first, f"1:63: train.T_period: {message % 20}"]


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
        "2:1: train.warmup_iter: the warm-up reaches the full rate; the reference stayed at (n - 1) / n of it"
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
            "1:1: train.progressive_starts: the scheme 'ProgressiveMultiStepLR' requires 'progressive_starts'",
        ),
        (
            "{default_lr_scheme: ProgressiveMultiStepLR, progressive_starts: [0, 9], warmup_iter: 3}",
            "1:73: train.warmup_iter: a warm-up cannot be combined with different 'progressive_starts'",
        ),
        (
            "{force_lr: 1e-3}",
            "1:2: train.force_lr: 'force_lr' of the reference's schemes has no counterpart",
        ),
        (
            "{default_lr_scheme: CosineAnnealingLR_Restart, restarts: [9], T_period: [9]}",
            "1:63: train.T_period: has 1 periods for 2 phases; write one for each phase, restarts included",
        ),
        ("{gen_lr_steps: [20, 5.5]}", "1:21: train.gen_lr_steps: expected an iteration (a whole number), got 5.5"),
        (
            "{default_lr_scheme: Cosine}",
            "1:2: train.default_lr_scheme: unknown scheme 'Cosine': neither the reference nor a plugin of the file "
            "has it",
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


def test_the_advice_where_something_is_refused() -> None:
    _, notes = convert("{clear_state: true, force_lr: 1e-3}")
    assert [fault.hint for fault in notes.faults] == [ADVICE["clear_state"], ADVICE["force_lr"]]
    assert silent(convert("{clear_state: false, force_lr: ~}")[1])


@pytest.mark.parametrize(
    ("starts", "schedule"),
    [
        ("[0]", {"type": "multi_step", "milestones": [19, 39], "gamma": 0.5}),
        ("[30, 30]", {"type": "multi_step", "from": 30, "milestones": [19, 39], "gamma": 0.5}),
        ("[0, 30]", {"type": "multi_step", "milestones": [19, 39], "gamma": 0.5}),
    ],
)
def test_progressive_milestones_count_from_a_start_that_groups_share_or_have(starts: str, schedule: Any) -> None:
    converted, notes = convert(
        "{default_lr_scheme: ProgressiveMultiStepLR, gen_lr_steps: [20, 40], lr_gamma: 0.5, restarts: [7],"
        f" progressive_starts: {starts}}}"
    )
    assert converted == schedule
    assert not notes.faults


def test_the_warmup_of_one_scheme_is_none_of_another() -> None:
    assert convert("{default_lr_scheme: CosineAnnealingLR_Restart, T_period: [9], warmup_steps: 4}")[0] == {
        "type": "cosine_annealing",
        "period": 9,
    }
