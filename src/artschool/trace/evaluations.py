"""One batch of each evaluation, as far as it comes without values."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from typing import Any, cast

import torch

from artschool.config.structure import Config
from artschool.data.examples import resized
from artschool.engine.evaluate import Evaluation, in_eval_mode
from artschool.engine.run import Run
from artschool.errors import ConfigError, Fault
from artschool.steps.state import State
from artschool.trace.fake import remembering
from artschool.trace.keys import TracedKey
from artschool.trace.observe import Observed, Observer, Untraceable, observe

Evaluated = tuple[dict[str, dict[str, TracedKey]], list[str], list[Fault]]
"""By evaluation the keys it writes; what could not be traced; and the faults."""


def trace_evaluations(
    config: Config, run: Run, batches: Mapping[str, Mapping[str, Any]], training: Observer
) -> Evaluated:
    """Run a whole batch of each evaluation without values, and the last one where that is smaller."""
    found: dict[str, dict[str, TracedKey]] = {}
    notes: list[str] = []
    faults: list[Fault] = []
    for evaluation in run.evaluations:
        observer = Observer(training.components, training.modules, real=False)
        for step in evaluation.steps:
            observe(step, observer)
        evaluation.injectors = [cast(Any, Observed(call, observer)) for call in evaluation.injectors]
        metrics = evaluation.metrics.items()
        evaluation.metrics = {name: (cast(Any, _Metric(call, observer)), metric) for name, (call, metric) in metrics}
        found[evaluation.name] = observer.keys
        data = config.evaluations[evaluation.name].section.data
        sizes = evaluation.batches.size(0), evaluation.batches.size(evaluation.batches.per_epoch - 1)
        try:
            for size in dict.fromkeys(sizes):
                batch = resized(batches[data], size)
                observer.begin(batch, config.data[data])
                _run(evaluation, State(batch, f"data.{data}"), max(run.iterations - 1, 0))
        except ConfigError as error:
            faults += error.faults
        except Untraceable as reason:
            notes.append(f"{reason}, so what follows in evaluate.{evaluation.name} was not traced")
    return found, notes, faults


def _run(evaluation: Evaluation, state: State, iteration: int) -> None:
    networks = list({id(network): network for network in evaluation.networks}.values())
    with in_eval_mode(networks), remembering(networks), torch.no_grad():
        evaluation.forward(state, iteration, lambda name, value: None)


class _Metric(Observed):
    """A metric reads values in the end; what it does before is traced."""

    def __call__(self, state: State) -> Any:
        """Feed it."""
        with suppress(Untraceable):
            super().__call__(state)
