"""Trace one batch of each evaluation, up to the first component that needs values."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, cast

import torch

from artschool.config.structure import Config
from artschool.data.examples import resized
from artschool.engine.eval_mode import in_eval_mode
from artschool.engine.evaluate import Evaluation
from artschool.engine.run import Run
from artschool.errors import ConfigError
from artschool.faults import Fault
from artschool.steps.state import State
from artschool.trace.fake import memoized
from artschool.trace.keys import TracedKey
from artschool.trace.observe import Observed, Observer, Untraceable, observe
from artschool.trace.pictures import picture_faults
from artschool.trace.training import TrainingTrace


@dataclass
class TracedEvaluations:
    """What a trace found in evaluations.

    Attributes:
        keys: The keys that each evaluation writes, by evaluation and key.
        notes: What could not be traced.
    """

    keys: dict[str, dict[str, TracedKey]] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    faults: list[Fault] = field(default_factory=list)


def trace_evaluations(
    config: Config, run: Run, batches: Mapping[str, Mapping[str, Any]], training: TrainingTrace
) -> TracedEvaluations:
    """Run a whole batch of each evaluation without values, and its last batch if that is smaller.

    Args:
        training: The trace of the steps, which has not begun.
    """
    found = TracedEvaluations()
    for evaluation in run.evaluations:
        observer = Observer(training.observer.components, training.observer.modules, real=False)
        for step in evaluation.steps:
            observe(step, observer)
        evaluation.injectors = [cast(Any, Observed(call, observer)) for call in evaluation.injectors]
        metrics = evaluation.metrics.items()
        evaluation.metrics = {
            name: (cast(Any, _ObservedMetric(call, observer)), metric) for name, (call, metric) in metrics
        }
        found.keys[evaluation.name] = observer.keys
        data = config.evaluations[evaluation.name].section.data
        sizes = evaluation.batches.size(0), evaluation.batches.size(evaluation.batches.per_epoch - 1)
        try:
            for size in dict.fromkeys(sizes):
                state = evaluation.state(resized(batches[data], size))
                observer.begin(state.values, dict.fromkeys(evaluation.streams, config.data[data]))
                _run(evaluation, state, max(run.iterations - 1, 0))
        except ConfigError as error:
            found.faults += error.faults
        except Untraceable as reason:
            found.notes.append(f"{reason}, so the rest of evaluate.{evaluation.name} was not traced")
        found.faults += observer.changes
        found.faults += picture_faults(config, observer.keys, ("evaluate", evaluation.name))
    found.faults += training.saved.faults()
    return found


def _run(evaluation: Evaluation, state: State, iteration: int) -> None:
    networks = list({id(network): network for network in evaluation.networks}.values())
    with in_eval_mode(networks), memoized(networks), torch.no_grad():
        evaluation.forward(state, iteration, lambda name, value: None)


class _ObservedMetric(Observed):
    """A metric needs values in the end. What it does before that is traced."""

    def __call__(self, state: State) -> Any:
        """Update the metric."""
        with suppress(Untraceable):
            super().__call__(state)
