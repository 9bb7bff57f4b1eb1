"""The options that every entry of a kind has in the file, in addition to the options of its component."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationInfo, field_validator
from pydantic_core import PydanticKnownError

from artschool.registry.schedule import FractionNumber, NotNegativeNumber, Number
from artschool.registry.signature import Count, Key, Natural, NotNegative
from artschool.registry.units import Interval, Iterations, LastIteration

ParameterKind = Literal["weight", "bias", "norm", "embedding", "layer_bias"]


class Entry(BaseModel):
    """A mapping with a `type:`. Unknown keys, text in place of numbers, NaN and infinity are faults."""

    model_config = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False, protected_namespaces=())

    type: str


class EveryEntry(BaseModel):
    """Regular iterations that are no multiples: those whose remainder by `of` is `at`.

    Attributes:
        of: Interval in iterations.
        at: Remainder, less than `of`: the first of the iterations.
    """

    model_config = ConfigDict(extra="forbid", strict=True)

    of: Interval
    at: Iterations = 0

    @field_validator("at")
    @classmethod
    def _is_a_remainder(cls, at: int, info: ValidationInfo) -> int:
        if at >= info.data.get("of", at + 1):
            raise PydanticKnownError("less_than", {"lt": info.data["of"]})
        return at


class Gated(Entry):
    """An entry that is active from iteration `after` to iteration `before`, both inclusive, at multiples of `every`.

    Attributes:
        after: First iteration at which the entry is active (inclusive). Iterations count from 0.
        before: Last iteration at which the entry is active (inclusive). null: no limit.
        every: Interval in iterations. The entry is active only at multiples of this number, or with `{of: 3, at: 2}` at
            iterations 2, 5, 8, ...
    """

    after: Iterations = 0
    before: LastIteration | None = None
    every: Interval | EveryEntry = 1


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
        precision: Precision of the injector in a run of `bf16` or `fp16`. `fp32`: without autocast, and inputs in half
            precision are widened. null: that of the run.
    """

    out: Key | list[Key]
    only: Literal["training", "evaluation"] | None = None
    once: bool = False
    no_grad: bool = False
    precision: Literal["fp32"] | None = None


class WhileEntry(BaseModel):
    """A gate that is open while a value is below or above a limit.

    Attributes:
        value: Key of the dataflow, or number of the log: `<step>/<loss>`, `<step>/lr`, `<step>/grad_norm`,
            `<step>/<component>/<name>` or `<evaluation>/<metric>`.
        below: Limit below which the gate opens. null: `above` is set.
        above: Limit above which the gate opens. null: `below` is set.
        until: Limit at which an open gate closes: `below` or more, or `above` or less. null: the same limit.
    """

    model_config = ConfigDict(extra="forbid", strict=True)

    value: Annotated[str, StringConstraints(min_length=1)]
    below: float | None = None
    above: float | None = None
    until: float | None = None


class LossEntry(Gated):
    """A loss: reads keys and returns a scalar.

    Attributes:
        weight: Factor of the loss in the total loss of the step: a number, a schedule, or the key of a number. A key
            gets no gradient.
        while: Number of the log that decides whether the loss is active: a mapping with `value`, `below` or `above`,
            and `until`. null: always.
        out: Key to write the value of the loss to, before its weight. Losses after it, and injectors that run after
            the losses, can read it. null: none.
    """

    weight: Number | Key
    while_: Annotated[WhileEntry | None, Field(alias="while")] = None
    out: Key | None = None

    @property
    def weight_text(self) -> str:
        """The weight as displayed."""
        return self.weight if isinstance(self.weight, str) else f"{self.weight:g}"


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
        batch_size: Number of samples in one batch, summed over all processes.
        workers: Number of worker processes that load data. 0: load in the training process.
        timeout: Maximum time in seconds to wait for a batch of a worker before the run stops. 0: no limit.
        shuffle: Whether to draw a new order of the samples in each epoch, or `{chunk: 1000, window: 20000}`, which
            reads successive samples together. null: true for training, false for evaluations.
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
    schedule_from: Iterations = 0


class OptimizerEntry(Gated):
    """An optimizer.

    Attributes:
        param_groups: Groups of parameters with their own options. A parameter belongs to the first group that matches
            it.
        no_decay: Kinds of parameters without weight decay: `weight`, `bias`, `norm`, `embedding`, or `layer_bias`: the
            biases of submodules, as in DL-Art-School, without those that the network itself holds.
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

    from_: Annotated[Iterations, Field(alias="from")] = 0
    scale: NotNegative = 1.0
    warmup: Iterations = 0


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
