"""The sections of a file, typed. Components remain plain mappings, which `structure` turns into `Component`s."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from artschool.config.names import Name, RunName
from artschool.config.when import When
from artschool.registry.entries import CompileEntry, Parallel
from artschool.registry.signature import Count, Key, Marker, Natural, NetworkName, Pattern, Positive, Role, UnitInterval

RawDataset = Annotated[dict[str, Any], Marker(Role.NESTED, "datasets")]
"""The entry of a component, not validated yet, like those below."""
RawNetwork = Annotated[dict[str, Any], Marker(Role.NESTED, "networks")]
RawOptimizer = Annotated[dict[str, Any], Marker(Role.NESTED, "optimizers")]
RawSchedule = Annotated[dict[str, Any], Marker(Role.NESTED, "schedules")]
RawInjector = Annotated[dict[str, Any], Marker(Role.NESTED, "injectors")]
RawLoss = Annotated[dict[str, Any], Marker(Role.NESTED, "losses")]
RawCallback = Annotated[dict[str, Any], Marker(Role.NESTED, "callbacks")]
RawMetric = Annotated[dict[str, Any], Marker(Role.NESTED, "metrics")]
RawLogger = Annotated[dict[str, Any], Marker(Role.NESTED, "loggers")]


class Section(BaseModel):
    """A mapping of the file. Unknown options are faults."""

    model_config = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False, protected_namespaces=())


class BatchSizingSection(Section):
    """Sum gradients over iterations until their direction settles, then make one update with their mean.

    Attributes:
        poll_parameters: Number of weight tensors whose gradient direction decides when to update.
        max_full_batches: Maximum number of iterations summed into one update.
    """

    poll_parameters: Count = 8
    max_full_batches: Count = 10


class StepSection(Section):
    """One optimizer update and the injectors and losses that lead to it.

    Attributes:
        trains: Network that the step trains, or a list of networks.
        optimizer: Optimizer that updates the trained networks, or `none` for a step that updates nothing. Required.
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
        every: Interval, in iterations, at which the step trains. Its injectors and losses run at every iteration.
        data: Entry of the section `data`, or a list of entries. The step takes a fresh batch of them whenever it runs,
            reads the keys of this batch alone, and keeps what it writes to itself. null: the step runs on the batch of
            the iteration.
        repeat: Number of times that the step runs in an iteration, each with an update of its own. With `data`, each
            time takes a fresh batch; without it, all use the batch of the iteration.
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
    data: str | Annotated[list[str], Field(min_length=1)] | None = None
    repeat: Count = 1

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
        return When(self.after, self.before, self.every)

    @property
    def trained(self) -> list[str]:
        """The networks that the step trains."""
        return [self.trains] if isinstance(self.trains, str) else self.trains


class AccumulateEverySection(Section):
    """A different number of parts per batch at regular iterations that need more or less memory than others.

    Attributes:
        every: Interval, in iterations, at which `parts` replaces `accumulate`: at multiples of this number.
        parts: Number of parts into which a batch is split at these iterations.
    """

    every: Count
    parts: Count


class TrainSection(Section):
    """Length and settings of the training.

    Attributes:
        iterations: Number of training iterations. Required unless `epochs` is set.
        epochs: Length of the training in passes over `data.train`. Required unless `iterations` is set.
        accumulate: Number of parts (micro-batches) into which each batch is split to save memory. Their gradients are
            averaged, weighted by their samples, or by the places that a loss is a mean over, such as those of a mask.
        accumulate_every: A different number of parts at regular iterations. null: `accumulate` at every iteration.
        precision: Precision of the computation. `bf16` and `fp16` use autocast; weights stay float32.
        non_finite: Reaction to NaN or infinite gradients. `skip`: skip the update, and end the run after `max_skips`
            skipped updates in a row. `rollback`: skip likewise, then return to an earlier checkpoint and continue with
            other batches. `stop`: end the run at the next log point. `ignore`: update without checking.
        max_skips: Number of skipped updates in a row after which the run ends or rolls back.
        max_rollbacks: Maximum number of rollbacks. Each returns one checkpoint further back than the last.
        start_iteration: Iteration at which a new run starts counting, as if all earlier ones were done.
        start_samples: Number of samples at which a new run starts counting. null: the samples of the iterations before
            `start_iteration`.
        device: Device to train on: `auto`, `cpu`, `cuda`, `cuda:1`, ... `auto` uses a GPU if one is available.
        deterministic: Whether to use only deterministic algorithms of torch.
        cudnn_benchmark: Whether cuDNN measures which kernels are fastest. Useful if all batches have the same shape.
        detect_anomaly: Whether torch searches for the operation that produced a NaN. Slow.
        parallel: Where several processes keep the networks. `replicate`: each has all parameters. `shard`: each has a
            part of the parameters, gradients, optimizer state and averages, and gathers whole modules to compute.
            `{shard: N, replicate: M}`: M groups of N processes, each of which shards the networks.
        matmul_precision: Precision of float32 products of matrices and convolutions. `highest`: float32. `high`: may
            use TF32 on a GPU, with 10 bits of mantissa. `medium`: may use bfloat16. null: `high` on a CUDA device, and
            torch's own setting elsewhere or if `deterministic` is true.
        channels_last: Whether images and weights of 4 or 5 dimensions keep the channels next to each other in memory,
            which suits convolutions on GPUs.
        compile: Whether torch.compile compiles the calls of all networks, or a mapping with `mode`, `dynamic`,
            `fullgraph` and `backend`. A network overrides it by its own `compile`.
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
    parallel: Parallel = "replicate"
    matmul_precision: Literal["highest", "high", "medium"] | None = None
    channels_last: bool = False
    compile: bool | CompileEntry = False

    def length(self, per_epoch: int) -> int:
        """The number of iterations of the run, given those of an epoch."""
        return self.iterations or (self.epochs or 0) * per_epoch

    def matmul_precision_on(self, device_type: str) -> str | None:
        """The precision of float32 products on a type of device. None: torch's own setting."""
        default = "high" if device_type == "cuda" and not self.deterministic else None
        return self.matmul_precision or default

    @property
    def max_parts(self) -> int:
        """The largest number of micro-batches into which a batch is split."""
        return max(self.accumulate, self.accumulate_every.parts if self.accumulate_every is not None else 1)

    def num_micro_batches(self, iteration: int) -> int:
        """The number of micro-batches into which the batch of an iteration is split."""
        other = self.accumulate_every
        return other.parts if other is not None and iteration % other.every == 0 else self.accumulate


class EmaSection(Section):
    """Exponential moving averages of the weights of networks, updated after each optimizer update.

    Components can call an average as the network `<name>.ema`.

    Attributes:
        decay: Decay of the averages, 0 to 1: `ema = decay * ema + (1 - decay) * weights`.
        networks: Networks to average: a list, or a mapping from network to its own decay.
    """

    decay: UnitInterval = 0.999
    networks: list[NetworkName] | dict[NetworkName, UnitInterval]

    @property
    def decays(self) -> dict[str, float]:
        """The decay of each network."""
        return self.networks if isinstance(self.networks, dict) else dict.fromkeys(self.networks, self.decay)


class EvaluationSection(Section):
    """A dataflow over held-out data, and metrics of its keys.

    Attributes:
        data: Data set to evaluate on: an entry of `data`.
        every: Interval between evaluations, in finished iterations. Training always ends with an evaluation. null: only
            that one.
        steps: Steps to run first, without training. Their mean losses are logged as `<evaluation>/<step>/<loss>`.
        injectors: Injectors by name. They run after `steps`, in file order, and have no gates.
        metrics: Metrics by name, logged as `<evaluation>/<metric>`. Required unless `steps` is set.
        ema: Whether to evaluate the moving averages of networks that have one.
    """

    data: str
    every: Count | None = None
    steps: list[str] = []
    injectors: dict[Name, RawInjector] = {}
    metrics: dict[Name, RawMetric] = {}
    ema: bool = True


DrawnRange = tuple[float, float] | Literal["auto", "imagenet"]


class PicturesSection(Section):
    """Keys to draw as grids of images in PNG files.

    Attributes:
        every: Interval at which images are drawn, in finished iterations.
        keys: Keys to draw: images (B, 1 or 3, H, W), maps (B, H, W), or sequences of images (B, T, C, H, W).
        most: Maximum number of samples in one grid.
        range: Values drawn as black and white. `auto`: the smallest and the largest value. `imagenet`: colours
            normalized with the mean and standard deviation of ImageNet. A mapping gives keys ranges of their own; the
            others are drawn in `[0, 1]`.
        frames: Indices, counted from 0, of the frames to draw of a sequence.
    """

    every: Count
    keys: list[Key]
    most: Count = 8
    range: DrawnRange | dict[Key, DrawnRange] = (0.0, 1.0)
    frames: list[Natural] = [0]

    def range_of(self, key: str) -> DrawnRange:
        """The values of a key that are drawn as black and white."""
        return self.range.get(key, (0.0, 1.0)) if isinstance(self.range, dict) else self.range


class LogSection(Section):
    """Logging to the console, `metrics.jsonl`, TensorBoard and further loggers.

    Attributes:
        every: Interval between log points, in finished iterations. Each logged number is the mean since the last one.
        pictures: Keys to draw as images, and how often. null: no images.
        loggers: Loggers by name, in addition to the console, `metrics.jsonl` and TensorBoard.
    """

    every: Count = 10
    pictures: PicturesSection | None = None
    loggers: dict[Name, RawLogger] = {}


class KeepBestSection(Section):
    """The choice of the best checkpoint.

    Attributes:
        metric: Metric that decides, as `<evaluation>/<metric>`. A checkpoint is saved as soon as it improves.
        mode: Direction of improvement. `min`: smaller is better. `max`: larger is better.
    """

    metric: str
    mode: Literal["min", "max"]


class CheckpointSection(Section):
    """Saving and keeping of checkpoints. The last iteration is always saved.

    Attributes:
        every: Interval between checkpoints, in finished iterations. null: only the last iteration.
        keep_last: Number of newest checkpoints to keep, in addition to the best one and the one resumed from.
        keep_best: Metric by which the best checkpoint is kept as well. null: no best checkpoint.
        background: Whether a checkpoint is written while training goes on, from a copy of the state in the memory of
            the CPU. null: yes on CUDA or if a network is sharded, otherwise no.
    """

    every: Count | None = None
    keep_last: Count = 3
    keep_best: KeepBestSection | None = None
    background: bool | None = None


class FileSections(Section):
    """The whole file.

    Attributes:
        name: Name of the run and of its folder below `runs`: letters, digits, `_`, `-` and `.`.
        seed: Seed of all random numbers.
        plugins: Python files (`.py`), relative to this file, or modules to import. They register components.
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
