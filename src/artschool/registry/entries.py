"""What every entry of a kind may say in the file, besides its component's own options."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from artschool.registry.signature import Count, Fraction, Key, Natural, NotNegative

ParameterKind = Literal["weight", "bias", "norm", "embedding"]


class Entry(BaseModel):
    """A mapping with a `type:`. Unknown keys, text for numbers, NaN and infinity are faults."""

    model_config = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False, protected_namespaces=())

    type: str


class Gated(Entry):
    """An entry that is active from iteration `after` to `before`, both included, on multiples of `every`.

    Attributes:
        after: The first iteration at which it is active; they count from 0.
        before: The last iteration at which it is active; null for no end.
        every: It is active only at iterations that are multiples of this.
    """

    after: Natural = 0
    before: Natural | None = None
    every: Count = 1


class InjectorEntry(Gated):
    """An injector: it reads keys and writes keys.

    Attributes:
        out: The key that gets what it returns, or a list where it returns several; `_` drops one.
        only: `training`: only when a step trains; `evaluation`: only when an evaluation runs the step.
        once: Computed for the first micro-batch alone; the others get its values, without gradient.
        no_grad: Nothing it computes has a gradient.
    """

    out: Key | list[Key]
    only: Literal["training", "evaluation"] | None = None
    once: bool = False
    no_grad: bool = False


class LossEntry(Gated):
    """A loss: it reads keys and returns a scalar.

    Attributes:
        weight: Its value times this is added to the step's total.
    """

    weight: float


class WeightsEntry(BaseModel):
    """Pretrained weights with what to do about their names.

    Attributes:
        file: The file: `.safetensors`, or the tensors of a `.pt`, `.pth`, `.ckpt`.
        prefix: Take only names that start so, without it.
        strict: Missing and unexpected names are errors; shapes must fit always.
    """

    model_config = ConfigDict(extra="forbid", strict=True)

    file: Path
    prefix: str = ""
    strict: bool = True


class NetworkEntry(Gated):
    """A network.

    Attributes:
        weights: A file to start from, or a mapping that says what to do about names.
        frozen: True, or patterns of parameter names that stay: `[encoder.*]`.
        activation_checkpointing: Patterns of module names, `[body.*]`: in backward they compute again what they would
            keep, which saves memory.
    """

    weights: Path | WeightsEntry | None = None
    frozen: bool | list[str] = False
    activation_checkpointing: list[str] = []


DType = Literal[
    "float32", "float64", "float16", "bfloat16", "complex64", "int64", "int32", "int16", "int8", "uint8", "bool"
]


class ExampleEntry(BaseModel):
    """A value of one sample. Its shape alone may stand for it.

    Attributes:
        shape: Of a tensor, without its batch.
        dtype: Its type.
    """

    model_config = ConfigDict(extra="forbid", strict=True)

    shape: list[Count] = []
    dtype: DType = "float32"


class DatasetEntry(Entry):
    """A data set and how it is batched.

    Attributes:
        batch_size: Samples of one iteration, over all processes together.
        workers: Loader processes.
        timeout: Seconds to wait for a worker's batch before the run stops; 0 waits for ever.
        shuffle: A new order each epoch; null means yes for `train`, no for evaluations.
        drop_last: Leave out the samples of an epoch that fill no batch; evaluations always use all.
        keys: The keys it yields, where its code does not declare them.
        max_bad: How many samples that cannot be read are replaced by others before the run stops, in each process.
        pad: Keys whose tensors differ in their last dimension: zeros fill them up, and `<key>_lengths` says how long
            each was.
        trim: Cut every tensor that has a `<key>_lengths` to the largest of them.
        sort_key: A number of each sample, such as `wav_lengths`; the batch starts with the largest.
        example: What a sample holds, by key: `[3, 64, 64]`, or `{shape: [], dtype: int64}`; a trace then loads no data.
    """

    batch_size: Count = 1
    workers: Natural = 0
    timeout: NotNegative = 0
    shuffle: bool | None = None
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
    """Other options of an optimizer for some parameters: the first group that fits counts.

    Attributes:
        match: Pattern of `<network>.<parameter>`, such as `gen.head.*`.
        kinds: Kinds of parameters.
        marked: Only those that the network's own code has marked by `PARAM_GROUP`.
        schedule_from: The step's schedule counts from this iteration for them; until then their `lr` holds.
    """

    model_config = ConfigDict(extra="allow", strict=True, allow_inf_nan=False)

    match: str = "*"
    kinds: list[ParameterKind] = ["weight", "bias", "norm", "embedding"]
    marked: str | None = None
    schedule_from: Natural = 0


class OptimizerEntry(Gated):
    """An optimizer.

    Attributes:
        param_groups: Other options for some parameters; the first group that fits counts.
        no_decay: Kinds of parameters without weight decay.
        shard: Each process keeps the state of, and updates, its share of the parameters.
    """

    param_groups: list[GroupEntry] = []
    no_decay: list[ParameterKind] = []
    shard: bool = False


class ScheduleEntry(Entry):
    """A phase of the learning rate.

    Attributes:
        from: Its first iteration, from which its curve counts.
        scale: Multiplies the base rate.
        warmup: So many iterations rise linearly: iteration i of n runs at (i + 1) / n of the rate.
    """

    from_: Annotated[Natural, Field(alias="from")] = 0
    scale: NotNegative = 1.0
    warmup: Natural = 0


class CallbackEntry(Gated):
    """What looks inside a step, at the iterations of its gate."""


class LoggerEntry(Entry):
    """A place that numbers and pictures are written to."""


OPTIMIZER_BOUNDS: dict[str, Any] = {
    "lr": NotNegative,
    "weight_decay": NotNegative,
    "momentum": NotNegative,
    "eps": NotNegative,
    "betas": Fraction,
}
"""Bounds of the numbers in an option, which torch checks late or not at all."""
