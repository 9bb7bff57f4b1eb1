"""What every entry of a kind may say in the file, besides its component's own options."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from artschool.signature import Key, Whole

Count = Annotated[Whole, Field(ge=1)]
Iteration = Annotated[Whole, Field(ge=0)]
NotNegative = Annotated[float, Field(ge=0)]
ParameterKind = Literal["weight", "bias", "norm", "embedding"]
Beta = Annotated[float, Field(ge=0, lt=1)]


class Entry(BaseModel):
    """A mapping with a `type:`. Unknown keys, text for numbers, NaN and infinity are faults."""

    model_config = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False, protected_namespaces=())

    type: str


class Gated(Entry):
    """An entry that is active from iteration `after` to `before`, both included, on multiples of `every`."""

    after: Iteration = 0
    before: Iteration | None = None
    every: Count = 1


class InjectorEntry(Gated):
    """An injector: `out` names what it returns; `_` in a list drops a value.

    `only` lets it run only when a step trains, or only when an evaluation runs the step. With `once` it is computed for
    the first micro-batch alone, and the others get its values, without gradient.
    """

    out: Key | list[Key]
    only: Literal["training", "evaluation"] | None = None
    once: bool = False
    no_grad: bool = False


class LossEntry(Gated):
    """A loss: its value times `weight` is added to the step's total."""

    weight: float


class WeightsEntry(BaseModel):
    """Pretrained weights with what to do about their names."""

    model_config = ConfigDict(extra="forbid", strict=True)

    file: Path
    prefix: str = ""
    strict: bool = True


class NetworkEntry(Gated):
    """A network: `weights` is a file to start from, `frozen` is true or patterns of parameter names that stay.

    Modules whose names match a pattern of `activation_checkpointing` compute again in backward what they would keep.
    """

    weights: Path | WeightsEntry | None = None
    frozen: bool | list[str] = False
    activation_checkpointing: list[str] = []


DType = Literal[
    "float32", "float64", "float16", "bfloat16", "complex64", "int64", "int32", "int16", "int8", "uint8", "bool"
]


class ExampleEntry(BaseModel):
    """A value of one sample: the shape of a tensor without its batch, and its type. The shape alone will do."""

    model_config = ConfigDict(extra="forbid", strict=True)

    shape: list[Count] = []
    dtype: DType = "float32"


def _shape_alone(value: Any) -> Any:
    return {"shape": value} if isinstance(value, list) else value


class DatasetEntry(Entry):
    """A data set and how it is batched. `batch_size` counts the samples of one iteration over all processes.

    `max_bad` is how many samples that cannot be read are replaced by others before the run stops. `pad` lists the keys
    of unequal length, `trim` cuts what is padded to the longest of the batch, `sort_key` puts the largest first.
    `example` says of each key what a sample holds, `[3, 64, 64]` or `{shape: [], dtype: int64}`, so that a trace need
    not load any.
    """

    batch_size: Count = 1
    workers: Iteration = 0
    timeout: NotNegative = 0
    shuffle: bool | None = None
    drop_last: bool = True
    keys: list[Key] | None = None
    max_bad: Iteration = 0
    pad: list[Key] = []
    trim: bool = False
    sort_key: Key | None = None
    example: dict[Key, Annotated[ExampleEntry, BeforeValidator(_shape_alone)]] | None = None


class MetricEntry(Entry):
    """A metric of an evaluation."""


class GroupEntry(BaseModel):
    """Other options of an optimizer for some parameters.

    They are those whose `<network>.<name>` matches the pattern `match`, such as `gen.head.*`, which are of one of
    `kinds`, and which the network's own code has marked by `PARAM_GROUP = marked`; the first group that fits counts.
    The step's schedule counts from iteration `schedule_from` for them; until then their `lr` holds.
    """

    model_config = ConfigDict(extra="allow", allow_inf_nan=False)

    match: str = "*"
    kinds: list[ParameterKind] = ["weight", "bias", "norm", "embedding"]
    marked: str | None = None
    schedule_from: Iteration = 0


class OptimizerEntry(Gated):
    """An optimizer: `param_groups` gives other options to some parameters, and those of `no_decay` have no decay.

    With `shard` each process keeps the state of, and updates, its share of the parameters.
    """

    param_groups: list[GroupEntry] = []
    no_decay: list[ParameterKind] = []
    shard: bool = False


class ScheduleEntry(Entry):
    """A phase of the learning rate, which counts from iteration `from`, at `scale` times the rate.

    `warmup` iterations rise linearly: iteration i of n runs at (i + 1) / n of the rate.
    """

    from_: Annotated[Iteration, Field(alias="from")] = 0
    scale: NotNegative = 1.0
    warmup: Iteration = 0


class CallbackEntry(Gated):
    """What looks inside a step, at the iterations of its gate."""


class LoggerEntry(Entry):
    """A place that numbers and pictures are written to."""


OPTIMIZER_BOUNDS: dict[str, Any] = {
    "lr": NotNegative,
    "weight_decay": NotNegative,
    "momentum": NotNegative,
    "eps": NotNegative,
    "betas": Beta,
}
"""Bounds of the numbers in an option, which torch checks late or not at all."""
