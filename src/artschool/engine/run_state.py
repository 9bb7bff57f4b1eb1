"""The parts and the progress of a run, and what a logger is."""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from artschool import ranks
from artschool.config.sections import FileSections, TrainSection
from artschool.data.loader import Loader
from artschool.data.sampler import Batches, RankSampler
from artschool.data.seeds import Seeds
from artschool.engine.ema import Ema
from artschool.engine.evaluate import Evaluation
from artschool.engine.hooks import hooks
from artschool.engine.meters import Meters
from artschool.engine.train_context import TrainContext
from artschool.engine.train_step import TrainStep
from artschool.storage.checkpoint_store import CheckpointStore

Record = Mapping[str, float | int]


class Logger(Protocol):
    """A place that a run writes to. Only the main process has one."""

    def start(self, run: RunState) -> None:
        """The run begins, or goes on, at `run.iteration`."""

    def advance(self, run: RunState) -> None:
        """One more iteration has finished; called at each, so it must cost nothing."""

    def log(self, record: Record) -> None:
        """Numbers by name, with `iteration`, `samples` and `seconds`."""

    def picture(self, key: str, iteration: int, values: Tensor) -> None:
        """The first samples of a key: images (B, 1 or 3, H, W) in 0..1. `iteration` counts the finished ones."""

    def note(self, message: str) -> None:
        """Something the user should know."""

    def close(self) -> None:
        """The run has ended, in whatever way."""


@dataclass
class TrainData:
    """The data that steps are trained on."""

    loader: Loader
    batches: Batches

    def load(self, start: int, stop: int, device: torch.device) -> Generator[dict[str, Any]]:
        """This process's part of the batches of these iterations."""
        return self.loader.load(RankSampler(self.batches, start, stop, ranks.rank(), ranks.world_size()), device)


@dataclass
class RunState:
    """What `build` makes of a file.

    Attributes:
        sections: What the file says, components aside.
        networks: The networks by name, on `device`.
        emas: Their moving averages, for those that the file lists.
        modules: The injectors and losses that are modules themselves, by path.
        iteration: How many iterations are finished.
        seconds: Time spent in training so far, over all resumes.
        config: The resolved file as plain values, in which values of environment variables are not.
        config_texts: What to write beside the run: file name to text.
        last_evaluation: What the last evaluation gave.
        data_offset: How many batches further data and random numbers are than `iteration`, after going back.
        rollbacks: How often the run went back to an earlier checkpoint.
        best: The best value of the metric that `keep_best` names, and the checkpoint that has it.
    """

    sections: FileSections
    folder: Path
    networks: dict[str, nn.Module]
    steps: list[TrainStep]
    emas: dict[str, Ema]
    modules: dict[str, nn.Module]
    data: TrainData
    evaluations: list[Evaluation]
    iterations: int
    context: TrainContext
    config: Any
    config_texts: Mapping[str, str]
    loggers: Sequence[Logger] = ()
    iteration: int = 0
    seconds: float = 0.0
    data_offset: int = 0
    rollbacks: int = 0
    best: tuple[float, int] | None = None
    resumed_from: int | None = None
    last_evaluation: dict[str, float] = field(default_factory=dict)
    update_hooks: list[Callable[..., Any]] = field(init=False)
    iteration_seeds: Seeds = field(init=False)
    store: CheckpointStore = field(init=False)

    def __post_init__(self) -> None:
        self.iteration_seeds = Seeds(self.sections.seed, "iteration")
        self.store = CheckpointStore(self.folder / "checkpoints")
        self.update_hooks = [hook for _, hook in hooks(self.networks, "update_for_step")]

    def evaluate(self) -> dict[str, float]:
        """Run every evaluation of the file now: `<evaluation>/<metric>` to its value."""
        values: dict[str, float] = {}
        for evaluation in self.evaluations:
            values |= evaluation.run(self.iteration, self.device)
        return values

    def note(self, message: str) -> None:
        """Tell every logger something that the user should know."""
        for logger in self.loggers:
            logger.note(message)

    @property
    def device(self) -> torch.device:
        """Where networks and batches are."""
        return self.context.device

    @property
    def meters(self) -> Meters:
        """The numbers since the last log point."""
        return self.context.meters

    @property
    def loaders(self) -> list[Loader]:
        """The data that it is trained and evaluated on, each once."""
        every = (self.data.loader, *(evaluation.loader for evaluation in self.evaluations))
        return list({id(loader): loader for loader in every}.values())

    @property
    def samples(self) -> int:
        """How many samples the finished iterations have seen, over all processes."""
        return samples_after(self.iteration, self.sections.train, self.data.batches)


def samples_after(iteration: int, section: TrainSection, batches: Batches) -> int:
    """How many samples a run has seen after so many iterations, over all processes."""
    count = batches.samples_before
    if section.start_samples is None:
        return count(iteration)
    return section.start_samples + count(iteration) - count(section.start_iteration)
