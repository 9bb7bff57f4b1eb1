"""What has come out of a sweep: its trials, the best one, and how much each parameter matters."""

from __future__ import annotations

import statistics
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from artschool.paths import is_dir
from artschool.show.log import METRICS, Log
from artschool.sweep.settings import Settings
from artschool.sweep.study import FOLDER, counted_trials
from artschool.sweep.trial import REASON, VALUES

if TYPE_CHECKING:
    from optuna import Study
    from optuna.trial import FrozenTrial

STATES = {"complete": "finished", "fail": "failed"}
FEWEST = 4
"""Finished trials from which the importance of parameters is computed."""


@dataclass(frozen=True)
class Row:
    """A trial.

    Attributes:
        trial: Its number.
        state: `finished`, `pruned`, `failed`, `running` or `waiting`.
        value: The mean of `values`; of a pruned trial, its last evaluation. None: there is no value.
        spread: Standard deviation of `values`. None: there are fewer than two.
        values: The best evaluation of each seed.
        iterations: Number of iterations in the log of its run folder. None: the folder is on another machine.
        parameters: Values by path.
        folder: Its run folder, or the folder of its run folders.
        reason: Why it has failed.
    """

    trial: int
    state: str
    value: float | None
    spread: float | None
    values: list[float]
    iterations: int | None
    parameters: dict[str, Any]
    folder: str
    reason: str


@dataclass(frozen=True)
class Result:
    """A sweep after its end.

    Attributes:
        rows: All trials, the best one first; those without a value last.
        importance: The part of each parameter in how good trials differ from others, by path; the sum is 1. Empty:
            there are too few trials.
        best: The best finished trial.
        training: The run folder of the best trial; of several seeds, that of the best one.
    """

    rows: list[Row]
    importance: dict[str, float]
    best: Row | None
    training: Path | None


def result_of(settings: Settings, study: Study) -> Result:
    """Read the trials of a sweep from its storage."""
    sign = -1 if settings.metric.mode == "max" else 1
    rows = [_row(settings, trial) for trial in counted_trials(study)]
    order = ("finished", "pruned")
    rows.sort(key=lambda row: (row.state not in order, row.state != "finished", sign * (row.value or 0), row.trial))
    best = rows[0] if rows and rows[0].state == "finished" else None
    return Result(rows, _importance(study), best, _training(settings, best) if best is not None else None)


def _row(settings: Settings, trial: FrozenTrial) -> Row:
    values = [float(value) for value in trial.user_attrs.get(VALUES, ())]
    folder = trial.user_attrs.get(FOLDER, str(settings.folder_of(trial.number)))
    value = trial.value if trial.value is not None else _last(trial.intermediate_values)
    log = Log(settings.folder_of(trial.number) / METRICS)
    log.update()
    return Row(
        trial=trial.number,
        state=STATES.get(trial.state.name.lower(), trial.state.name.lower()),
        value=value,
        spread=statistics.stdev(values) if len(values) > 1 else None,
        values=values,
        iterations=log.finished if is_dir(log.path.parent) else None,
        parameters=dict(trial.params),
        folder=folder,
        reason=trial.user_attrs.get(REASON, ""),
    )


def _last(values: Mapping[int, float]) -> float | None:
    return values[max(values)] if values else None


def _training(settings: Settings, best: Row) -> Path:
    if len(best.values) < 2:
        return Path(best.folder)
    return Path(best.folder) / f"seed{best.values.index(settings.metric.best(best.values))}"


def _importance(study: Study) -> dict[str, float]:
    """PED-ANOVA, which needs no further package, and few trials.

    Source: Watanabe et al. 2023, PED-ANOVA: Efficiently Quantifying Hyperparameter Importance in Arbitrary Subspaces.
    """
    from optuna.importance import PedAnovaImportanceEvaluator, get_param_importances
    from optuna.trial import TrialState

    values = {trial.value for trial in study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))}
    if len(values) < FEWEST:
        return {}
    return dict(get_param_importances(study, evaluator=PedAnovaImportanceEvaluator()))
