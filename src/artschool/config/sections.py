"""The sections of a file, typed. Components stand here as mappings; `structure` turns them into `Component`."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, Any, Literal, LiteralString

from pydantic import AfterValidator, BaseModel, ConfigDict, Field
from pydantic_core import PydanticCustomError

from artschool.config.when import When
from artschool.entries import Count, Iteration
from artschool.signature import Key, NetworkName


def _plain(pattern: str, allowed: LiteralString) -> AfterValidator:
    def check(value: str) -> str:
        if not re.fullmatch(pattern, value):
            raise PydanticCustomError("plain_name", "is no plain name: " + allowed)
        return value

    return AfterValidator(check)


RunName = Annotated[
    str,
    _plain(
        r"[A-Za-z0-9_][A-Za-z0-9_.-]{,99}", "up to 100 letters, digits, '_', '-' and '.', and neither '-' nor '.' first"
    ),
]
"""A name that becomes a folder: letters, digits, `_`, `-` and `.`."""
Name = Annotated[
    str, _plain(r"[A-Za-z0-9_][A-Za-z0-9_-]{,99}", "up to 100 letters, digits, '_' and '-', and no '-' first")
]
"""A name that becomes part of a path, of a number in the log and of a file: letters, digits, `_` and `-`."""
Raw = dict[str, Any]
"""A component's entry, not looked into yet."""


class Section(BaseModel):
    """A mapping of the file. Unknown keys are faults."""

    model_config = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False, protected_namespaces=())


class BatchSizingSection(Section):
    """Sum gradients over iterations until their direction settles, and make one update of their mean.

    The direction is that of `poll_parameters` weight tensors; an update takes at most `max_full_batches` iterations.
    """

    poll_parameters: Count = 8
    max_full_batches: Count = 10


class StepSection(Section):
    """Everything that leads to one optimizer update. It is skipped for a batch that lacks a key it `requires`."""

    trains: NetworkName | Annotated[list[NetworkName], Field(min_length=1)]
    optimizer: Raw | Literal["none"] | None = None
    schedule: Raw | list[Raw] | None = None
    clip_grad_norm: Annotated[float, Field(gt=0)] | None = None
    batch_sizing: BatchSizingSection | None = None
    injectors: dict[Name, Raw] = {}
    losses: dict[Name, Raw] = {}
    callbacks: dict[Name, Raw] = {}
    requires: list[Key] = []
    after: Iteration = 0
    before: Iteration | None = None
    every: Count = 1

    @property
    def when(self) -> When:
        """When the step runs at all. Its `every` only decides when it trains."""
        return When(self.after, self.before)

    @property
    def trains_when(self) -> When:
        """When the step updates its networks."""
        return When(self.after, self.before, self.every)

    @property
    def trained(self) -> list[str]:
        """The networks it trains."""
        return [self.trains] if isinstance(self.trains, str) else self.trains


class AccumulateEverySection(Section):
    """Another number of parts of a batch, at the multiples of an iteration that need more memory, or less."""

    every: Count
    parts: Count


class TrainSection(Section):
    """How long and how to train.

    `non_finite` says what happens to an update whose gradients are NaN or infinite: `skip` leaves the weights as they
    are, counts it and stops after `max_skips` in a row; `rollback` then goes back to an earlier checkpoint instead, and
    on with other batches, up to `max_rollbacks` times, each time one checkpoint further; `stop` stops at the next log
    point; `ignore` does not look.
    A new run counts iterations from `start_iteration` and samples from `start_samples`, as if those before were done.
    """

    iterations: Count | None = None
    epochs: Count | None = None
    accumulate: Count = 1
    accumulate_every: AccumulateEverySection | None = None
    precision: Literal["fp32", "bf16", "fp16"] = "fp32"
    non_finite: Literal["skip", "stop", "rollback", "ignore"] = "skip"
    max_skips: Count = 100
    max_rollbacks: Count = 3
    start_iteration: Iteration = 0
    start_samples: Iteration | None = None
    device: str = "auto"
    deterministic: bool = False
    cudnn_benchmark: bool = False
    detect_anomaly: bool = False

    def length(self, per_epoch: int) -> int:
        """How many iterations the run has, where an epoch has so many."""
        return self.iterations or (self.epochs or 0) * per_epoch

    def parts(self, iteration: int) -> int:
        """In how many parts the batch of an iteration goes through."""
        other = self.accumulate_every
        return other.parts if other is not None and iteration % other.every == 0 else self.accumulate


Decay = Annotated[float, Field(ge=0, le=1)]


class EmaSection(Section):
    """Exponential moving averages of networks, updated once for each optimizer step taken.

    A component may call one as the network `<name>.ema`.
    """

    decay: Decay = 0.999
    networks: list[NetworkName] | dict[NetworkName, Decay]

    @property
    def decays(self) -> dict[str, float]:
        """The decay of each network."""
        return self.networks if isinstance(self.networks, dict) else dict.fromkeys(self.networks, self.decay)


class EvaluationSection(Section):
    """A dataflow over held-out data and metrics over its keys, with EMA weights where there are any (`ema: true`).

    `steps` run first, without training; the means of their losses are reported as `<evaluation>/<step>/<loss>`.
    """

    data: str
    every: Count | None = None
    steps: list[str] = []
    injectors: dict[Name, Raw] = {}
    metrics: dict[Name, Raw] = {}
    ema: bool = True


class PicturesSection(Section):
    """Keys to draw as PNG grids: images (B, 1 or 3, H, W), maps (B, H, W), or sequences of images (B, T, C, H, W).

    `range` is what is drawn black and white, `auto` for the smallest and largest value, `imagenet` for colours
    that were normalized by ImageNet's mean and deviation. `frames` are drawn of a sequence.
    """

    every: Count
    keys: list[Key]
    most: Count = 8
    range: tuple[float, float] | Literal["auto", "imagenet"] = (0.0, 1.0)
    frames: list[Iteration] = [0]


class LogSection(Section):
    """How often to log, and where to besides the console, `metrics.jsonl` and TensorBoard."""

    every: Count = 10
    pictures: PicturesSection | None = None
    loggers: dict[Name, Raw] = {}


class KeepBestSection(Section):
    """The metric whose best checkpoint is kept, as `<evaluation>/<metric>`."""

    metric: str
    mode: Literal["min", "max"]


class CheckpointSection(Section):
    """How often to save and what to keep. The last iteration is always saved."""

    every: Count | None = None
    keep_last: Count = 3
    keep_best: KeepBestSection | None = None


class FileSections(Section):
    """A whole file."""

    name: RunName
    seed: Iteration = 0
    plugins: list[str] = []
    runs: Path = Path("runs")
    data: dict[Name, Raw]
    networks: Annotated[dict[Name, Raw], Field(min_length=1)]
    steps: Annotated[dict[Name, StepSection], Field(min_length=1)]
    train: TrainSection
    ema: EmaSection | None = None
    evaluate: dict[Name, EvaluationSection] = {}
    log: LogSection = LogSection()
    checkpoint: CheckpointSection = CheckpointSection()
