"""The sections of a file, typed. Components stand here as mappings; `structure` turns them into `Component`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from artschool.config.names import Name, RunName
from artschool.config.when import When
from artschool.registry.signature import Count, Key, Marker, Natural, NetworkName, Pattern, Positive, Role, UnitInterval

RawDataset = Annotated[dict[str, Any], Marker(Role.NESTED, "datasets")]
"""A component's entry, not looked into yet; so are those below."""
RawNetwork = Annotated[dict[str, Any], Marker(Role.NESTED, "networks")]
RawOptimizer = Annotated[dict[str, Any], Marker(Role.NESTED, "optimizers")]
RawSchedule = Annotated[dict[str, Any], Marker(Role.NESTED, "schedules")]
RawInjector = Annotated[dict[str, Any], Marker(Role.NESTED, "injectors")]
RawLoss = Annotated[dict[str, Any], Marker(Role.NESTED, "losses")]
RawCallback = Annotated[dict[str, Any], Marker(Role.NESTED, "callbacks")]
RawMetric = Annotated[dict[str, Any], Marker(Role.NESTED, "metrics")]
RawLogger = Annotated[dict[str, Any], Marker(Role.NESTED, "loggers")]


class Section(BaseModel):
    """A mapping of the file. Unknown keys are faults."""

    model_config = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False, protected_namespaces=())


class BatchSizingSection(Section):
    """Sum gradients over iterations until their direction settles, and make one update of their mean.

    Attributes:
        poll_parameters: The direction is that of so many weight tensors.
        max_full_batches: An update takes at most so many iterations.
    """

    poll_parameters: Count = 8
    max_full_batches: Count = 10


class StepSection(Section):
    """Everything that leads to one optimizer update.

    Attributes:
        trains: A network, or a list of them.
        optimizer: An optimizer, or `none` for a step that updates nothing.
        schedule: A schedule of the learning rate, or a list of phases.
        clip_grad_norm: Largest norm of the gradients of all that the step trains, taken together.
        batch_sizing: One update from several iterations: `{}`, or with options.
        injectors: By name; they read keys and write keys, in this order.
        losses: By name; their weighted sum is what the networks under `trains` descend.
        callbacks: By name; they look inside the step.
        requires: Keys; for a batch that lacks one of them the step is skipped.
        after: Nothing of the step runs before this iteration; they count from 0.
        before: Nor after this one.
        every: The step trains only at multiples of so many iterations; its injectors and losses run always.
    """

    trains: NetworkName | Annotated[list[NetworkName], Field(min_length=1)]
    optimizer: RawOptimizer | Literal["none"] | None = None
    schedule: RawSchedule | list[RawSchedule] | None = None
    clip_grad_norm: Positive | None = None
    batch_sizing: BatchSizingSection | None = None
    injectors: dict[Name, RawInjector] = {}
    losses: dict[Name, RawLoss] = {}
    callbacks: dict[Name, RawCallback] = {}
    requires: list[Key] = []
    after: Natural = 0
    before: Natural | None = None
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
    """Another number of parts of a batch, at the multiples of an iteration that need more memory, or less.

    Attributes:
        every: At the multiples of so many iterations.
        parts: In so many parts.
    """

    every: Count
    parts: Count


class TrainSection(Section):
    """How long and how to train.

    Attributes:
        iterations: How many; or give `epochs`.
        epochs: The same in passes over `data.train`.
        accumulate: Parts in which a batch goes through; they weigh by their true sizes.
        accumulate_every: Another number of parts at some iterations.
        precision: `bf16` and `fp16` are autocast; weights stay float32.
        non_finite: What happens to an update whose gradients are NaN or infinite: `skip` leaves the weights as they
            are, counts it and stops after `max_skips` in a row; `rollback` then goes back to an earlier checkpoint
            instead, and on with other batches; `stop` stops at the next log point; `ignore` does not look.
        max_skips: So many skipped in a row end the run, or lead to a rollback.
        max_rollbacks: So often at most, each time one checkpoint further back.
        start_iteration: A new run counts iterations from here, as if those before were done.
        start_samples: And its samples from here; null for as many as these iterations have.
        device: `auto`, `cpu`, `cuda`, `cuda:1`; `auto` takes a GPU where there is one.
        deterministic: Only deterministic algorithms of torch.
        cudnn_benchmark: Let cuDNN try which kernels are fastest; for batches of one shape.
        detect_anomaly: Torch's search for the operation that made a NaN; slow.
    """

    iterations: Count | None = None
    epochs: Count | None = None
    accumulate: Count = 1
    accumulate_every: AccumulateEverySection | None = None
    precision: Literal["fp32", "bf16", "fp16"] = "fp32"
    non_finite: Literal["skip", "stop", "rollback", "ignore"] = "skip"
    max_skips: Count = 100
    max_rollbacks: Count = 3
    start_iteration: Natural = 0
    start_samples: Natural | None = None
    device: Annotated[str, Pattern(r"^(auto|cpu|(cuda|mps|xpu)(:[0-9]+)?)$", "auto, cpu, cuda or cuda:1")] = "auto"
    deterministic: bool = False
    cudnn_benchmark: bool = False
    detect_anomaly: bool = False

    def length(self, per_epoch: int) -> int:
        """How many iterations the run has, where an epoch has so many."""
        return self.iterations or (self.epochs or 0) * per_epoch

    def num_micro_batches(self, iteration: int) -> int:
        """In how many parts the batch of an iteration goes through."""
        other = self.accumulate_every
        return other.parts if other is not None and iteration % other.every == 0 else self.accumulate


class EmaSection(Section):
    """Exponential moving averages of networks, updated once for each optimizer step taken.

    A component may call one as the network `<name>.ema`.

    Attributes:
        decay: `ema = decay * ema + (1 - decay) * weights`.
        networks: A list, or a mapping that gives each its own decay.
    """

    decay: UnitInterval = 0.999
    networks: list[NetworkName] | dict[NetworkName, UnitInterval]

    @property
    def decays(self) -> dict[str, float]:
        """The decay of each network."""
        return self.networks if isinstance(self.networks, dict) else dict.fromkeys(self.networks, self.decay)


class EvaluationSection(Section):
    """A dataflow over held-out data and metrics over its keys.

    Attributes:
        data: An entry of `data`.
        every: After so many finished iterations; always at the end as well.
        steps: Steps to run first, without training; the means of their losses are `<evaluation>/<step>/<loss>`.
        injectors: As in a step.
        metrics: By name; they appear as `<evaluation>/<metric>`.
        ema: With averaged weights, where there are any.
    """

    data: str
    every: Count | None = None
    steps: list[str] = []
    injectors: dict[Name, RawInjector] = {}
    metrics: dict[Name, RawMetric] = {}
    ema: bool = True


class PicturesSection(Section):
    """Keys to draw as PNG grids.

    Attributes:
        every: Finished iterations between pictures.
        keys: Images (B, 1 or 3, H, W), maps (B, H, W), or sequences of images (B, T, C, H, W).
        most: Samples drawn.
        range: What is drawn black and white; `auto` for the smallest and largest value, `imagenet` for colours that
            were normalized by ImageNet's mean and deviation.
        frames: Which of a sequence.
    """

    every: Count
    keys: list[Key]
    most: Count = 8
    range: tuple[float, float] | Literal["auto", "imagenet"] = (0.0, 1.0)
    frames: list[Natural] = [0]


class LogSection(Section):
    """How often to log, and where to besides the console, `metrics.jsonl` and TensorBoard.

    Attributes:
        every: Finished iterations between log points; each number is the mean since the last.
        pictures: Which keys to draw, and when.
        loggers: Further loggers by name.
    """

    every: Count = 10
    pictures: PicturesSection | None = None
    loggers: dict[Name, RawLogger] = {}


class KeepBestSection(Section):
    """Which checkpoint is the best.

    Attributes:
        metric: `<evaluation>/<metric>`; a better value is saved at once.
        mode: Whether less or more is better.
    """

    metric: str
    mode: Literal["min", "max"]


class CheckpointSection(Section):
    """How often to save and what to keep. The last iteration is always saved.

    Attributes:
        every: Finished iterations between checkpoints.
        keep_last: How many of the newest stay; the best and the one resumed from stay besides.
        keep_best: Keep the best as well, by a metric.
    """

    every: Count | None = None
    keep_last: Count = 3
    keep_best: KeepBestSection | None = None


class FileSections(Section):
    """A whole file.

    Attributes:
        name: The run's folder below `runs`: letters, digits, `_`, `-`, `.`.
        seed: Everything random follows from it.
        plugins: `.py` files, relative to this file, or modules to import; they register components.
        runs: Folder of run folders.
        data: Data sets by name; `train` feeds the steps, others feed evaluations.
        networks: Networks by name.
        steps: Each iteration runs them all, in this order, on one batch.
        train: How long and how to train.
        ema: Moving averages of networks.
        evaluate: Dataflows over held-out data, by name.
        log: How often to log, and where to.
        checkpoint: How often to save, and what to keep.
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
