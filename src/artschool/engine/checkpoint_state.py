"""What `state.json` contains: all state of a run that is not a tensor. Each part is required and has one type.

A checkpoint may come from anybody. After `checked`, the rest of the package reads its state without asking again.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, JsonValue, ValidationError, model_validator
from pydantic_core import ErrorDetails
from torch import Tensor

from artschool.config.streams import TRAIN
from artschool.engine.restore_modules import OPTIMIZERS
from artschool.errors import CheckpointError
from artschool.storage.checkpoint_files import read_state
from artschool.storage.checkpoint_store import Checkpoint
from artschool.storage.shards import Saved, Shards

Count = Annotated[int, Field(ge=0, le=2**53)]
Length = Annotated[int, Field(ge=0, le=2**63 - 1)]
"""What `len` can return: a data set may say a huge number for samples without an end."""
Pair = Annotated[tuple[float, float], Field(strict=False)]
Inventory = dict[str, str]
ANOTHER = "Fix: resume from another checkpoint with --resume, or start a new run in another folder with --run-dir"


class _Part(BaseModel):
    """Strict: no text for a number, nothing missing, nothing unknown."""

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True)


class ScalerState(_Part):
    """The state of torch's `GradScaler`."""

    scale: float
    growth_factor: float
    backoff_factor: float
    growth_interval: Count
    growth_tracker: Count = Field(alias="_growth_tracker")


class UpdateState(_Part):
    """The counters of a step's updates. See `Update.state_dict`."""

    count: Count
    skipped: Count
    streak: Count
    precision: Annotated[ScalerState | None, BeforeValidator(lambda found: None if found == {} else found)]


class OptimizerDescription(_Part):
    """What a resume compares with its own optimizer: class, number of groups, and networks."""

    type: str
    groups: Count
    networks: list[str]


class StreamSize(_Part):
    """Number of samples of a data set, and of a batch of it."""

    length: Length
    batch_size: Count = Field(ge=1)


class DataSizes(StreamSize):
    """The sizes of `data.train`, of the other streams, and the number of samples of each evaluation."""

    streams: dict[str, StreamSize]
    evaluations: dict[str, Length]


class DecisionState(BaseModel):
    """The state of what follows a number of the log, which its class defines, and the name of the number."""

    model_config = ConfigDict(strict=True, extra="allow", frozen=True)
    __pydantic_extra__: dict[str, JsonValue]
    metric: str


class State(_Part):
    """The content of `state.json`.

    Attributes:
        iteration: Number of finished iterations.
        iterations: Total number of iterations.
        seconds: Training time so far.
        shift: Iterations that rollbacks have discarded.
        rollbacks: Number of rollbacks.
        best: Best value of `checkpoint.keep_best.metric`, and the number of its checkpoint.
        pending: Whether the last iteration is still to be logged and evaluated.
        updates: By step.
        optimizers: By step with an optimizer of its own. None: a version that did not save it.
        optimizer_scalars: State of optimizers that is not a tensor, by name.
        optimizer_tensors: Number of their tensors.
        meters: Sum and weight of each number since the last log point, for each process.
        draws: Whether iterations draw random numbers of Python or NumPy, for each process, where None is unknown. None
            for all: a version that did not save it.
        samples: Samples in the finished iterations. None: a version that did not save it.
        streams: Number of batches that each stream has given.
        data: The sizes of the data sets.
        seed: The seed of the run.
        world_size: Number of processes.
        config: The resolved file, with `${env:...}` unfilled.
        settings: The settings of the resolved file with every default, and a hash of each plugin. None: a version that
            did not save them.
        built_buffers: Shape and dtype with which buffers were built that have changed since, by owner.
        left_out: Hash of each tensor that `saved` leaves out, by owner.
        decisions: By path.
        pieces: Into how many parts steps split their micro-batches since memory ran out, by step.
        error: The error after which the checkpoint was saved. None: there was none.
        tensors: Dtype and shape of each tensor, by file stem and name. None: a version that did not save it.
    """

    iteration: Count
    iterations: Count
    seconds: float = Field(ge=0, allow_inf_nan=False)
    shift: Count
    rollbacks: Count
    best: Annotated[tuple[float, Count], Field(strict=False)] | None
    pending: bool
    updates: dict[str, UpdateState]
    optimizers: dict[str, OptimizerDescription] | None
    optimizer_scalars: dict[str, JsonValue]
    optimizer_tensors: Count
    meters: list[dict[str, Pair]]
    draws: list[bool | None] | None
    samples: Count | None
    streams: dict[str, Count]
    data: DataSizes
    seed: int = Field(ge=0)
    world_size: Count = Field(ge=1)
    config: dict[str, JsonValue]
    settings: dict[str, JsonValue] | None
    built_buffers: dict[str, dict[str, Annotated[tuple[list[Count], str], Field(strict=False)] | None]]
    left_out: dict[str, dict[str, str]]
    decisions: dict[str, DecisionState]
    pieces: dict[str, Annotated[int, Field(ge=1, le=2**53)]]
    error: str | None
    tensors: dict[str, dict[str, str]] | None

    @model_validator(mode="after")
    def _agree(self) -> State:
        if self.streams.keys() != {TRAIN, *self.data.streams}:
            raise ValueError("'streams' and 'data' do not name the same streams")
        for part, values in (("meters", self.meters), ("draws", self.draws)):
            if values is not None and len(values) != self.world_size:
                raise ValueError(f"{part!r} does not have an entry for each of 'world_size' processes")
        saved = (*self.optimizer_scalars, *(self.tensors or {}).get(OPTIMIZERS, {}))
        if self.optimizers is not None and not {name.partition("/")[0] for name in saved} <= self.optimizers.keys():
            raise ValueError("'optimizers' does not name each optimizer of which there is state")
        return self


def checked(checkpoint: Checkpoint) -> Checkpoint:
    """A checkpoint whose state has been compared with `State` and with its tensors, brought to the current schema.

    Raises:
        CheckpointError: A part is missing, unknown or of another type, or a tensor is not the one that was saved.
    """
    manifest, location = checkpoint.manifest, f"checkpoint {checkpoint.path}"
    state = checkpoint.state if manifest.schema > 1 else _of_schema_1(checkpoint.state)
    if manifest.schema < 3:
        state = {"draws": None, **state}
    try:
        State.model_validate(state)
    except ValidationError as error:
        problem = _problem(error.errors(include_url=False)[0], manifest.versions.get("artschool", "unknown"))
        raise CheckpointError(f"{location}: state.json: {problem}") from None
    for name, described in (("iteration", manifest.iteration), ("world_size", manifest.world_size)):
        if state[name] != described:
            raise CheckpointError(
                f"{location}: state.json: {name!r} is {state[name]}, but {described} in manifest.json. {ANOTHER}"
            )
    if state["tensors"] is not None:
        found = {stem: inventory(checkpoint.saved(stem)) for stem in checkpoint.tensors}
        _compare(location, state["tensors"], found)
    return replace(checkpoint, state=state)


def length_of_data(path: Path) -> int | None:
    """The number of samples of the training data of the checkpoint in a folder. None: it cannot be read.

    Raises:
        CheckpointError: The checkpoint is damaged.
    """
    data = read_state(path)[1].get("data")
    length = data.get("length") if isinstance(data, Mapping) else None
    return length if isinstance(length, int) else None


def inventory(tensors: Mapping[str, Saved]) -> Inventory:
    """Dtype and shape of each tensor, such as `float32 [8, 3]`."""
    return {name: f"{str(value.dtype).removeprefix('torch.')} {list(value.shape)}" for name, value in tensors.items()}


def is_of_kind(saved: object, own: object) -> bool:
    """Whether a value of a checkpoint is of the kind that a new run has in its place.

    A place that is None at first may get any value, and one with a tensor may be empty.
    """
    if own is None:
        return True
    if isinstance(own, Tensor):
        is_number = isinstance(saved, int | float) and not own.dim()
        return saved is None or is_number or isinstance(saved, Tensor | Shards)
    if isinstance(own, int | float) and not isinstance(own, bool):
        return isinstance(saved, type(own) | int) and not isinstance(saved, bool)
    kinds = (bool, str, list | tuple, Mapping, object)
    return isinstance(saved, next(kind for kind in kinds if isinstance(own, kind)))


def _of_schema_1(state: Mapping[str, Any]) -> dict[str, Any]:
    """The state of a checkpoint of schema 1, which has some parts only where they are needed, and some not at all."""
    found: dict[str, Any] = {
        "pending": False,
        "optimizers": None,
        "samples": None,
        "error": None,
        "settings": None,
        "tensors": None,
    }
    found |= {part: {} for part in ("built_buffers", "left_out", "decisions", "pieces")}
    if isinstance(state.get("iteration"), int) and isinstance(state.get("shift"), int):
        found["streams"] = {TRAIN: state["iteration"] + state["shift"]}
    found |= state
    if isinstance(found.get("data"), Mapping):
        found["data"] = {"streams": {}, "evaluations": {}, **found["data"]}
    return found


def _problem(error: ErrorDetails, version: str) -> str:
    """What is wrong with a part, and what to do."""
    part = ".".join(map(str, error["loc"]))
    if error["type"] == "missing":
        return f"missing part {part!r}. {ANOTHER}"
    if error["type"] == "extra_forbidden":
        return f"unknown part {part!r}. Fix: install artschool {version}, which saved the checkpoint"
    text = error["msg"].removeprefix("Value error, ").removeprefix("Input should be ")
    return f"{part}: expected {text}. {ANOTHER}" if part else f"{text}. {ANOTHER}"


def _compare(location: str, saved: Mapping[str, Inventory], found: Mapping[str, Inventory]) -> None:
    """Refuse files and tensors that are not those that were saved."""
    for stem in sorted(saved.keys() | found.keys()):
        file = f"{stem}.safetensors"
        if (stem in saved) != (stem in found):
            if stem == OPTIMIZERS and stem in saved:
                cause = "has weights without the state of optimizers, because of `checkpoint.state: last`"
                raise CheckpointError(f"{location}: {cause}. {ANOTHER}")
            raise CheckpointError(f"{location}: {'missing' if stem in saved else 'unknown'} part {file!r}. {ANOTHER}")
        for name in sorted(saved[stem].keys() | found[stem].keys()):
            expected, got = (part[stem].get(name, "no tensor") for part in (saved, found))
            if expected != got:
                raise CheckpointError(f"{location}: {file}: {name!r}: expected {expected}, got {got}. {ANOTHER}")
