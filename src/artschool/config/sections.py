"""The whole file and its steps, typed. Components remain plain mappings, which `structure` turns into `Component`s."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field

from artschool.config.average_sections import EmaSection
from artschool.config.names import Name, RunName
from artschool.config.report_sections import CheckpointSection, EvaluationSection, LogSection
from artschool.config.section import (
    RawCallback,
    RawDataset,
    RawInjector,
    RawLoss,
    RawNetwork,
    RawOptimizer,
    Section,
)
from artschool.config.train_section import TrainSection
from artschool.config.when import When
from artschool.registry.entries import EveryEntry, WhileEntry
from artschool.registry.schedule import PositiveNumber, RawSchedule
from artschool.registry.signature import Count, Key, Natural, NetworkName
from artschool.registry.units import Interval, Iterations, LastIteration


class BatchSizingSection(Section):
    """Sum gradients over iterations until their direction settles, then make one update with their mean.

    Attributes:
        poll_parameters: Number of weight tensors whose gradient direction decides when to update.
        max_full_batches: Maximum number of iterations summed into one update.
    """

    poll_parameters: Count = 8
    max_full_batches: Count = 10


class SharedOptimizerSection(Section):
    """The optimizer of another step.

    Attributes:
        of: Step whose optimizer updates the networks of this step too: with its options, its schedule and its state.
            It must train these networks.
    """

    of: str


class StepSection(Section):
    """One optimizer update and the injectors and losses that lead to it.

    Attributes:
        trains: Network that the step trains, or a list of networks.
        optimizer: Optimizer that updates the trained networks, `{of: STEP}` for the optimizer of another step, or
            `none` for a step that updates nothing. Required.
        schedule: Schedule of the learning rate, or a list of schedules that follow each other. null: constant rate.
        clip_grad_norm: Maximum L2 norm of the gradients of all trained networks together; larger gradients are scaled
            down to it. null: no clipping.
        batch_sizing: Options for making one update from several iterations; `{}` takes the defaults. null: one update
            per iteration.
        injectors: Injectors by name. They read and write keys, and run in file order.
        losses: Losses by name. The step minimizes their weighted sum.
        callbacks: Callbacks by name. They observe the step, for example the size of its updates.
        requires: Keys that a batch must have. The step is skipped for other batches.
        after: First iteration at which the step runs, counted from 0 (inclusive).
        before: Last iteration at which the step runs (inclusive). null: no limit.
        every: Interval, in iterations, at which the step trains: at multiples of this number, or with `{of: 3, at: 2}`
            at iterations 2, 5, 8, ... Its injectors and losses run at every iteration.
        data: Entry of the section `data`, or a list of entries. The step takes a fresh batch of them whenever it runs,
            reads the keys of this batch alone, and keeps what it writes to itself. null: the step runs on the batch of
            the iteration.
        repeat: Number of times that the step runs in an iteration, each with an update of its own. With `data`, each
            time takes a fresh batch; without it, all use the batch of the iteration.
        while: Value that decides whether the step trains: a key that is true or above 0.5, or a mapping with `value`,
            `below` or `above`, and `until`. Its injectors and losses run in any case. null: always.
    """

    trains: NetworkName | Annotated[list[NetworkName], Field(min_length=1)]
    optimizer: RawOptimizer | SharedOptimizerSection | Literal["none"] | None = None
    schedule: RawSchedule | list[RawSchedule] | None = None
    clip_grad_norm: PositiveNumber | None = None
    batch_sizing: BatchSizingSection | None = None
    injectors: dict[Name, RawInjector] = {}
    losses: dict[Name, RawLoss] = {}
    callbacks: dict[Name, RawCallback] = {}
    requires: list[Key] = []
    after: Iterations = 0
    before: LastIteration | None = None
    every: Interval | EveryEntry = 1
    data: str | Annotated[list[str], Field(min_length=1)] | None = None
    repeat: Count = 1
    while_: Annotated[Key | WhileEntry | None, Field(alias="while")] = None

    @property
    def streams(self) -> list[str]:
        """The streams of which the step takes fresh batches. Empty: it runs on the batch of the iteration."""
        return [self.data] if isinstance(self.data, str) else self.data or []

    @property
    def when(self) -> When:
        """The iterations at which the step runs. `every` affects only when it trains."""
        return When(self.after, self.before)

    @property
    def trains_when(self) -> When:
        """The iterations at which the step updates its networks."""
        return When.gated(self.after, self.before, self.every)

    @property
    def trained(self) -> list[str]:
        """The networks that the step trains."""
        return [self.trains] if isinstance(self.trains, str) else self.trains


class FileSections(Section):
    """The whole file.

    Attributes:
        name: Name of the run and of its folder below `runs`: letters, digits, `_`, `-` and `.`.
        seed: Seed of all random numbers.
        plugins: Python files (`.py`), relative to this file, or modules to import. They register components.
            `dlas:path/to/codes` is a checkout of DL-Art-School, from which the parts that this file names are imported.
        runs: Folder in which each run gets a folder.
        data: Data sets by name. Each iteration takes a batch of `train`, and of each other data set of which a step
            reads a key, such as `plain.image`. Evaluations use data sets by name.
        networks: Networks by name.
        steps: Steps by name. Each iteration runs all of them in file order, on the same batch.
        train: Length and settings of the training.
        ema: Exponential moving averages of networks. null: none.
        evaluate: Evaluations on held-out data, by name.
        log: Interval and targets of logging.
        checkpoint: Interval of checkpoints, and which of them to keep.
    """

    name: RunName
    seed: Natural = 0
    plugins: list[str] = []
    runs: Path = Path("runs")
    data: dict[Name, RawDataset]
    networks: Annotated[dict[Name, RawNetwork], Field(min_length=1)]
    steps: Annotated[dict[Name, StepSection], Field(min_length=1)]
    train: TrainSection
    ema: EmaSection | None = None
    evaluate: dict[Name, EvaluationSection] = {}
    log: LogSection = LogSection()
    checkpoint: CheckpointSection = CheckpointSection()
