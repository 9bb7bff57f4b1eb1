"""How many batches make an update: an option of `train:` in the reference, of each step here."""

from __future__ import annotations

from typing import Any

import pytest

from artschool.config.sections import BatchSizingSection
from artschool.legacy.rules import Notes
from artschool.legacy.steps import BATCH_SIZING, convert_steps
from tests.legacy.old_text import node, told

STEPS = (
    "steps: {a: {training: n, optimizer_params: {lr: 1}}, b: {training: m, optimizer: none}}\n"
    "train:\n  batch_size_optimizer: "
)


def convert(text: str) -> tuple[Any, Notes]:
    notes = Notes()
    converted = convert_steps(node(STEPS + text), notes)
    assert converted is not None
    return converted.plain(), notes


def test_gradient_direction_becomes_an_option_of_each_step_with_an_optimizer() -> None:
    steps, notes = convert(
        "{type: gradient_direction, poll_parameters: 4, max_full_batches: 6, recalculate_directions_steps: 2}"
    )
    assert steps["a"]["batch_sizing"] == {"poll_parameters": 4, "max_full_batches": 6}
    assert "batch_sizing" not in steps["b"]
    assert not notes.faults
    assert told(notes.warnings) == [
        "3:3: train.batch_size_optimizer: each step sums its gradients until the angle of every polled tensor "
        "stops decreasing; the reference reset the sum at each iteration, and stopped at the first decrease",
        "3:93: train.batch_size_optimizer.recalculate_directions_steps: is dropped: the reference read it "
        "without using it",
    ]
    assert convert("{type: gradient_direction}")[0]["a"]["batch_sizing"] == {}


def test_one_batch_an_update_needs_no_word() -> None:
    steps, notes = convert("{type: megabatch}")
    assert "batch_sizing" not in steps["a"]
    assert not notes.warnings and not notes.faults


def test_another_is_refused_by_name() -> None:
    _, notes = convert("{type: gradient_direktion}")
    assert told(notes.faults) == ["3:3: train.batch_size_optimizer: unknown batch-size optimizer 'gradient_direktion'"]
    assert notes.faults[0].hint == ("Available: gradient_direction, megabatch. Did you mean 'gradient_direction'?")


@pytest.mark.parametrize("native", BATCH_SIZING.options.values())
def test_options_exist(native: str) -> None:
    assert native in BatchSizingSection.model_fields
