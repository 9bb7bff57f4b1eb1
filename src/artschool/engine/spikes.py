"""Notices losses that are far from what they were, or no numbers, at log points."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Literal

from artschool import ranks
from artschool.engine.incidents import record_incident
from artschool.engine.run_state import RunState

LIMIT = 12.0
"""The robust z-score from which a loss is a spike: its distance from the median, in standard deviations."""


def report_spikes(run: RunState, numbers: Mapping[str, float]) -> None:
    """Report and record the losses of a log point that are far above what they were, or NaN though nothing is skipped.

    Losses of updates that are skipped are left to `report_skipped_updates`.
    """
    span = range((run.iteration - 1) // run.sections.log.every * run.sections.log.every, run.iteration)
    for step in run.steps:
        for name in (loss.name for loss in step.graph.losses):
            value = numbers.get(name)
            if value is None or step.graph.name in run.skipping:
                continue
            if run.scores.is_new(name, is_bad=not math.isfinite(value)):
                _report(run, "nan", f"{name} is {value} in iterations {span.start} to {span.stop - 1}", name, span)
            if math.isfinite(value) and (score := run.scores.score(name, value)) > LIMIT:
                problem = f"{name} is {value:.4g} in iterations {span.start} to {span.stop - 1}"
                _report(run, "spike", f"{problem}, {score:.0f} deviations above its median", name, span)


def _report(run: RunState, kind: Literal["nan", "spike"], problem: str, name: str, span: range) -> None:
    run.note(f"warning: {problem}")
    if ranks.is_main():
        record_incident(run, kind, problem, step=name, iterations=span)
