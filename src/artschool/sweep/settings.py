"""What a sweep is asked to do, and the check of all of it before the first trial."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from artschool.config.logged_numbers import measured
from artschool.config.structure import Config
from artschool.errors import ConfigError
from artschool.faults import Fault, Place
from artschool.read.read import check_file
from artschool.sweep.parameters import Parameter, assignments, parameter_of


@dataclass(frozen=True)
class Metric:
    """The number of an evaluation that a sweep improves.

    Attributes:
        name: `<evaluation>/<metric>`.
        mode: `min`: smaller is better. `max`: larger is better.
    """

    name: str
    mode: str

    def __str__(self) -> str:
        return f"{self.name}:{self.mode}"

    @classmethod
    def of(cls, text: str) -> Metric:
        """Read `held/psnr:max`.

        Raises:
            ConfigError: The direction is missing.
        """
        name, _, mode = text.rpartition(":")
        if mode not in ("min", "max") or not name:
            raise ConfigError(f"--metric {text}: expected NAME:min or NAME:max. Fix: --metric {name or mode}:max")
        return cls(name, mode)

    def best(self, values: Iterable[float]) -> float:
        """The best of some values. NaN: none of them is a number."""
        numbers = [value for value in values if not math.isnan(value)]
        return (max if self.mode == "max" else min)(numbers, default=math.nan)


@dataclass(frozen=True)
class Settings:
    """A sweep.

    Attributes:
        config: The file.
        parameters: What differs between trials.
        overrides: Overrides of all trials.
        metric: What to improve.
        folder: Folder of the sweep. A trial's run folder is a number below it.
        name: Name of the sweep, by which other machines join it.
        trials: Number of trials of the sweep, over all machines.
        jobs: Number of trials that this machine trains at the same time.
        seeds: Number of trainings of each trial, with successive seeds.
        storage: URL of optuna's storage. "": a file of SQLite in the folder.
        seed: What determines the values together with the finished trials. None: drawn.
        is_pruning: Whether trials end early whose evaluations are worse than the median of the others.
        options: Further options of `artschool train`.
    """

    config: Path
    parameters: tuple[Parameter, ...]
    overrides: tuple[str, ...]
    metric: Metric
    folder: Path
    name: str
    trials: int = 20
    jobs: int = 1
    seeds: int = 1
    storage: str = ""
    seed: int | None = None
    is_pruning: bool = True
    options: tuple[str, ...] = ()

    @property
    def identity(self) -> dict[str, Any]:
        """What all processes of a sweep have in common."""
        return {
            "metric": str(self.metric),
            "parameters": sorted(map(str, self.parameters)),
            "overrides": sorted(self.overrides),
            "seeds": self.seeds,
        }

    def folder_of(self, trial: int, index: int = 0) -> Path:
        """The run folder of a trial, or of one of its trainings where there are several seeds."""
        folder = self.folder / f"{trial:04}"
        return folder if self.seeds == 1 else folder / f"seed{index}"

    def output_of(self, trial: int) -> Path:
        """The folder with what the trainings of a trial print."""
        return self.folder / "output" / f"{trial:04}"


def read_arguments(arguments: Iterable[str]) -> tuple[tuple[Parameter, ...], tuple[str, ...]]:
    """Divide the arguments of the command into parameters and overrides of all trials.

    Raises:
        ConfigError: A range is wrong, or two have the same path.
    """
    parameters: dict[str, Parameter] = {}
    overrides = []
    for text in arguments:
        parameter = parameter_of(text)
        if parameter is None:
            overrides.append(text)
        elif parameter.path in parameters:
            raise ConfigError(f"{text}: {parameter.path} already has a range")
        else:
            parameters[parameter.path] = parameter
    return tuple(parameters.values()), tuple(overrides)


def prove(settings: Settings) -> Config:
    """Check the file with the lowest and highest values of all parameters, and with each choice.

    Returns:
        The file, checked with the lowest values.

    Raises:
        ConfigError: A value is wrong, or no evaluation measures the metric. Nothing has been started.
    """
    parameters = settings.parameters
    if not parameters:
        example = "'steps.gen.optimizer.lr=log(1e-5, 1e-2)'"
        raise ConfigError(f"a sweep has no parameters. Fix: add one, such as {example}")
    count = max(len(parameter.values) for parameter in parameters)
    faults: dict[str, Fault] = {}
    configs = []
    for index in range(count):
        chosen = {each.path: each.values[min(index, len(each.values) - 1)] for each in parameters}
        try:
            configs.append(check_file(settings.config, [*settings.overrides, *assignments(chosen)]))
        except ConfigError as error:
            faults |= {str(fault): fault for fault in error.faults}
    if faults:
        raise ConfigError(list(faults.values()))
    _check_metric(configs[0], settings.metric)
    return configs[0]


def _check_metric(config: Config, metric: Metric) -> None:
    known: Sequence[str] = measured(config)
    if metric.name not in known:
        message = f"no evaluation reports {metric.name!r}"
        raise ConfigError(
            Fault.unknown_name(Place("--metric"), "", message, metric.name, known, listed_as="Available metrics")
        )


def is_measured_on_the_way(config: Config, metric: Metric) -> bool:
    """Whether the metric is measured before the end, so that trials can be pruned."""
    return config.sections.evaluate[metric.name.partition("/")[0]].every is not None
