"""The options that every entry of a kind has in the file, in addition to the options of its component."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from artschool.registry.schedule import FractionNumber, NotNegativeNumber, Number
from artschool.registry.signature import Count, Key, Natural, NotNegative

ParameterKind = Literal["weight", "bias", "norm", "embedding"]


class Entry(BaseModel):
    """A mapping with a `type:`. Unknown keys, text in place of numbers, NaN and infinity are faults."""

    model_config = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False, protected_namespaces=())

    type: str


class Gated(Entry):
    """An entry that is active from iteration `after` to iteration `before`, both inclusive, at multiples of `every`.

    Attributes:
        after: First iteration at which the entry is active (inclusive). Iterations count from 0.
        before: Last iteration at which the entry is active (inclusive). null: no limit.
        every: Interval in iterations. The entry is active only at multiples of this number.
    """

    after: Natural = 0
    before: Natural | None = None
    every: Count = 1


class InjectorEntry(Gated):
    """An injector: reads keys and writes keys.

    Attributes:
        out: Key to write the result to, or a list of keys for an injector that returns several values. `_` discards
            a value.
        only: When the injector runs. `training`: only when a step trains. `evaluation`: only when an evaluation runs
            the step. null: in both cases.
        once: Whether to run the injector only on the first micro-batch. The other micro-batches reuse its values,
            without gradients.
        no_grad: Whether to run the injector without gradients.
    """

    out: Key | list[Key]
    only: Literal["training", "evaluation"] | None = None
    once: bool = False
    no_grad: bool = False


class LossEntry(Gated):
    """A loss: reads keys and returns a scalar.

    Attributes:
        weight: Factor of the loss in the total loss of the step: a number or a schedule.
    """

    weight: Number


class WeightsEntry(BaseModel):
    """A file of pretrained weights, and how its names map to the network.

    Attributes:
        file: File of pretrained weights: `.safetensors`, its `.safetensors.index.json` if it is in parts, or the
            tensors of a `.pt`, `.pth` or `.ckpt` file.
        prefix: Prefix of the names to load, which is removed from them. Names without the prefix are ignored. Empty:
            the only one under which the whole network fits, if names have one.
        strict: Whether missing and unexpected names are errors. In either case shapes must match, and at least one
            name.
    """

    model_config = ConfigDict(extra="forbid", strict=True)

    file: Path
    prefix: str = ""
    strict: bool = True


class ShardEntry(BaseModel):
    """Numbers of processes. Their product must be the number of all processes.

    Attributes:
        shard: Number of processes that divide the parameters of a network among themselves.
        replicate: Number of these groups. Each of them has the whole network.
    """

    model_config = ConfigDict(extra="forbid", strict=True)

    shard: Count
    replicate: Count = 1


Parallel = Literal["replicate", "shard"] | ShardEntry


CompileMode = Literal["default", "reduce-overhead", "max-autotune", "max-autotune-no-cudagraphs"]


class CompileEntry(BaseModel):
    """How torch.compile compiles the calls of a network.

    Attributes:
        mode: Mode of inductor: `default`, `reduce-overhead` (CUDA graphs), `max-autotune` (measures kernels, and uses
            CUDA graphs) or `max-autotune-no-cudagraphs`.
        dynamic: Whether graphs serve inputs of any size. false: each size gets its own. null: sizes that change once
            become dynamic.
        fullgraph: Whether a call must be one graph. If not, code that torch cannot compile runs in Python between
            several graphs.
        backend: Backend of torch.compile. `inductor` generates kernels; `aot_eager` runs graphs by eager operations.
    """

    model_config = ConfigDict(extra="forbid", strict=True)

    mode: CompileMode = "default"
    dynamic: bool | None = None
    fullgraph: bool = False
    backend: str = "inductor"


class NetworkEntry(Gated):
    """A network.

    Attributes:
        weights: Pretrained weights to start from: a file, or a mapping with `file`, `prefix` and `strict`. null: the
            network's own initialization.
        frozen: Parameters that are not trained. true: all; a list: those whose names match a pattern, such as
            `[encoder.*]`; false: none. Layers whose parameters are all frozen run in eval mode.
        activation_checkpointing: Patterns of module names, such as `[body.*]`. Matching modules recompute their
            activations in the backward pass instead of storing them, which saves memory and costs time. Gradients
            stay the same.
        parallel: Where several processes keep the network, as `train.parallel`. null: the value of `train.parallel`.
        wrap: Patterns of module names, such as `[blocks.*]`, for a sharded network. Each matching module is gathered
            for its own forward and backward pass only. null: the modules of a list or `Sequential` that have a
            million parameters or more.
        channels_last: Whether weights of 4 or 5 dimensions keep the channels next to each other in memory. null: the
            value of `train.channels_last`. A sharded network ignores it.
        compile: Whether torch.compile compiles the calls of the network, or a mapping with `mode`, `dynamic`,
            `fullgraph` and `backend`. null: the value of `train.compile`.
    """

    weights: Path | WeightsEntry | None = None
    frozen: bool | list[str] = False
    activation_checkpointing: list[str] = []
    parallel: Parallel | None = None
    wrap: list[str] | None = None
    channels_last: bool | None = None
    compile: bool | CompileEntry | None = None


DType = Literal[
    "float32", "float64", "float16", "bfloat16", "complex64", "int64", "int32", "int16", "int8", "uint8", "bool"
]


class ExampleEntry(BaseModel):
    """Shape and data type of one value of a sample. A list of sizes is shorthand for the shape alone.

    Attributes:
        shape: Shape of the tensor, without the batch dimension. `[]`: a scalar.
        dtype: Data type of the tensor.
    """

    model_config = ConfigDict(extra="forbid", strict=True)

    shape: list[Count] = []
    dtype: DType = "float32"


class ShuffleEntry(BaseModel):
    """A shuffle for data that is slow to read in any order, such as remote shards.

    Attributes:
        chunk: Number of successive samples that are read at about the same time, such as the number in a shard.
        window: Number of samples that are mixed with each other at a time, several chunks. Processes share the
            chunks of a window among them.
    """

    model_config = ConfigDict(extra="forbid", strict=True)

    chunk: Count
    window: Count


class DatasetEntry(Entry):
    """A data set and how it is batched.

    Attributes:
        batch_size: Number of samples in one iteration, summed over all processes.
        workers: Number of worker processes that load data. 0: load in the training process.
        timeout: Maximum time in seconds to wait for a batch of a worker before the run stops. 0: no limit.
        shuffle: Whether to draw a new order of the samples in each epoch, or `{chunk: 1000, window: 20000}`, which
            reads successive samples together. null: true for `train`, false for evaluations.
        drop_last: Whether to skip the samples at the end of an epoch that do not fill a batch. Evaluations always use
            all samples.
        keys: Keys that the data set yields, for a data set whose code does not declare them. null: the declared keys.
        max_bad: Maximum number of unreadable samples in each process that are replaced by other samples. One more
            stops the run.
        pad: Keys whose tensors differ in the size of their last dimension. Zeros pad them to the same size, and
            `<key>_lengths` holds the original sizes.
        trim: Whether to cut every tensor that has a `<key>_lengths` to the largest of these lengths.
        sort_key: Key of a number, such as `wav_lengths`, by which the samples of a batch are sorted, largest first.
            null: keep their order.
        example: Shapes of the values of a sample, by key: `[3, 64, 64]`, or `{shape: [], dtype: int64}`. With this
            option a trace loads no data. null: a trace loads real batches.
    """

    batch_size: Count = 1
    workers: Natural = 0
    timeout: NotNegative = 0
    shuffle: bool | ShuffleEntry | None = None
    drop_last: bool = True
    keys: list[Key] | None = None
    max_bad: Natural = 0
    pad: list[Key] = []
    trim: bool = False
    sort_key: Key | None = None
    example: dict[Key, list[Count] | ExampleEntry] | None = None


class MetricEntry(Entry):
    """A metric of an evaluation."""


class GroupEntry(BaseModel):
    """A group of parameters with its own optimizer options. A parameter belongs to the first group that matches it.

    Attributes:
        match: Pattern of `<network>.<parameter>` that selects the parameters of the group, such as `gen.head.*`.
        kinds: Kinds of parameters in the group: `weight`, `bias`, `norm` or `embedding`.
        marked: Value of `PARAM_GROUP` that the network's code gives to the parameters of the group. null: any or none.
        schedule_from: Iteration from which the schedule of the step counts for the group. Before it, the group's own
            `lr` applies.
    """

    model_config = ConfigDict(extra="allow", strict=True, allow_inf_nan=False)

    match: str = "*"
    kinds: list[ParameterKind] = ["weight", "bias", "norm", "embedding"]
    marked: str | None = None
    schedule_from: Natural = 0


class OptimizerEntry(Gated):
    """An optimizer.

    Attributes:
        param_groups: Groups of parameters with their own options. A parameter belongs to the first group that matches
            it.
        no_decay: Kinds of parameters without weight decay: `weight`, `bias`, `norm` or `embedding`.
        shard: Whether to divide the optimizer state among the processes. Each process stores and updates its part of
            the parameters.
    """

    param_groups: list[GroupEntry] = []
    no_decay: list[ParameterKind] = []
    shard: bool = False


class ScheduleEntry(Entry):
    """A phase of the learning rate, or of another number. The base rate of another number is 1.

    Attributes:
        from: First iteration of the phase. The curve of the phase counts from it.
        scale: Factor of the base learning rate. Of another number, whose base is 1: the number itself.
        warmup: Number n of iterations with linear warmup: iteration i of n runs at (i + 1) / n of the rate. 0: no
            warmup.
    """

    from_: Annotated[Natural, Field(alias="from")] = 0
    scale: NotNegative = 1.0
    warmup: Natural = 0


class CallbackEntry(Gated):
    """A callback: inspects a step, at the iterations at which it is active."""


class LoggerEntry(Entry):
    """A logger: a destination of numbers and images."""


OPTIMIZER_BOUNDS: dict[str, Any] = {
    "lr": NotNegative,
    "weight_decay": NotNegativeNumber,
    "momentum": NotNegativeNumber,
    "eps": NotNegativeNumber,
    "betas": FractionNumber,
}
"""Bounds of the numbers in optimizer options, which torch checks late or not at all. All but `lr`, which the schedule
of the step changes, may have a schedule of their own."""
