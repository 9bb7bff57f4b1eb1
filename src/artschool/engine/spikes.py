"""Notices losses that are far from what they were, or no numbers, at log points."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Literal

from artschool import ranks
from artschool.engine.incidents import record_incident
from artschool.engine.run_state import RunState
from artschool.engine.scores import Scores
from artschool.wording.counting import iterations_of

LIMIT = 12.0
"""The robust z-score from which a loss is a spike: its distance from the median, in standard deviations."""


def report_spikes(run: RunState, numbers: Mapping[str, float]) -> None:
    """Report and record the losses of a log point that are far above what they were, or NaN though nothing is skipped.

    What lasts is reported once. Losses of updates that are skipped are left to `report_skipped_updates`.
    """
    span = range((run.iteration - 1) // run.sections.log.every * run.sections.log.every, run.iteration)
    for step in run.steps:
        for name in (loss.name for loss in step.graph.losses):
            value = numbers.get(name)
            if value is None or step.graph.name in run.skipping:
                continue
            kind, why = _judged(run.scores, name, value)
            if run.scores.is_new(name, kind) and kind is not None:
                problem = f"{name} is {value:.4g} in {iterations_of(span)}{why}"
                run.note(f"warning: {problem}")
                if ranks.is_main():
                    record_incident(run, kind, problem, step=name, iterations=span)


def _judged(scores: Scores, name: str, value: float) -> tuple[Literal["nan", "spike"] | None, str]:
    """What is wrong with the value of a loss, and why it is said to be."""
    if not math.isfinite(value):
        return "nan", ""
    score = scores.score(name, value)
    return ("spike", f", {score:.0f} deviations above its median") if score > LIMIT else (None, "")
