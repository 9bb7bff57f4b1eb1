"""Records what went wrong in a run, so that `artschool replay` can reproduce it."""

from __future__ import annotations

import json
import platform
import shlex
import traceback
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor

from artschool import ranks
from artschool.data.sampler import RankSampler
from artschool.data.samples import identity
from artschool.data.seeds import kept_rng
from artschool.engine.exits import as_error
from artschool.engine.real_view import can_be_non_finite
from artschool.engine.run_state import RunState
from artschool.engine.streams import Part
from artschool.errors import ArtschoolError, Stopped
from artschool.paths import exists
from artschool.release import versions
from artschool.shortages import causes, is_out_of_memory
from artschool.storage import checkpoint_files, durable
from artschool.wording.hidden import without_environment, without_hidden

Kind = Literal["nan", "spike", "memory", "hang", "error"]
FOLDER, FILE, BATCH, CHECKPOINT = "incidents", "incident.json", "batch.safetensors", "checkpoint"
MOST_OF_A_KIND = 4
"""Maximum number of incidents of each kind in a run folder. Those that follow are mostly consequences."""
MOST_BATCH_BYTES = 64 * 1024**2
MOST_CHECKPOINT_BYTES = 1024**3
"""Maximum size of the checkpoint that an incident keeps. It shares the disk space of the one in `checkpoints`."""


def record_failure(run: RunState, end: BaseException, batch: Mapping[str, Part]) -> BaseException:
    """Record what has ended an iteration as an incident.

    A lost connection is none: what has ended the other process is its incident.

    Args:
        batch: The batch of the iteration, by stream.

    Returns:
        What to raise: see `as_error`.
    """
    error = as_error(end)
    if isinstance(error, Exception) and not isinstance(error, Stopped) and not ranks.is_lost(error):
        record_incident(run, _kind_of(error), error, batch)
    return error


def record_incident(
    run: RunState,
    kind: Kind,
    error: BaseException | str,
    batch: Mapping[str, Part] | None = None,
    *,
    step: str = "",
    iterations: range | None = None,
) -> Path | None:
    """Write an incident to `<run>/incidents/<iteration>-<kind>`, so that `artschool replay` can reproduce it.

    Never raises and never communicates with other processes, so any of them may call it. The user is told in a note of
    the error, or by `run.note`.

    Args:
        kind: `nan`: an update was skipped, or a number of the log is NaN. `spike`: a loss was far from what it was.
            `memory`: out of memory. `hang`: something did not respond. `error`: any other exception.
        error: The exception, or what went wrong in words.
        batch: The batch of an iteration that is unfinished. None: no batch is in work; that of the first iteration is
            read again, unless `kind` is `hang`.
        step: The step in which it went wrong. "": unknown.
        iterations: The iterations in one of which it went wrong. None: the one that is unfinished.

    Returns:
        The folder. None: there is none, since there are enough incidents of this kind, the disk failed, or the folder
        of the run is not kept.
    """
    if not run.is_kept:
        return None
    span = range(run.iteration, run.iteration + 1) if iterations is None else iterations
    path = run.folder / FOLDER / f"{span.start:08d}-{kind}{f'-rank{ranks.rank()}' if not ranks.is_main() else ''}"
    try:
        if not exists(path):  # A run that is started again may fail again.
            if len(list(path.parent.glob(f"*-{kind}*"))) >= MOST_OF_A_KIND:
                return None
            durable.make_folder(path.parent)
            with durable.committed_folder(path) as folder:
                _write(folder, run, kind, error, batch, step, span)
    except Exception as failure:  # What is recorded must not hide what went wrong, nor end a run that trains on.
        run.note(f"warning: an incident could not be recorded: {failure}")
        return None
    remark = f"An incident is recorded. To reproduce it: artschool replay {shlex.quote(str(path))}"
    if isinstance(error, BaseException):
        error.add_note(remark)
    else:
        run.note(remark)
    return path


def newest_incident(folder: Path) -> Path | None:
    """The incident of a run folder that was recorded last. None: there is none."""
    found = [file.parent for file in (folder / FOLDER).glob(f"*/{FILE}")]
    return max(found, key=lambda path: ((path / FILE).stat().st_mtime, path.name), default=None)


def _kind_of(error: BaseException) -> Kind:
    """The kind of an exception: that of the first cause out of memory, if there is one."""
    return "memory" if any(map(is_out_of_memory, causes(error))) else "error"


def _write(
    folder: Path,
    run: RunState,
    kind: Kind,
    error: BaseException | str,
    batch: Mapping[str, Part] | None,
    step: str,
    span: range,
) -> None:
    behind = 1 if batch is not None else run.iteration - span.start
    given = {
        name: stream.given - (behind if name in run.streams.fed else 0) for name, stream in run.streams.by_name.items()
    }
    if batch is not None:
        values = {name: part.values for name, part in batch.items()}
    else:
        values = {} if kind == "hang" else _read_again(run, given)
    tensors = _tensors(values)
    size = sum(tensor.nbytes for tensor in tensors.values())
    if 0 < size <= MOST_BATCH_BYTES:
        durable.write_at(folder / BATCH, *checkpoint_files.encode_tensors(BATCH, tensors))
    record = {
        "kind": kind,
        "iteration": span.start,
        "last_iteration": span.stop - 1,
        "step": step,
        **_of_error(error),
        "numbers": {name: _json(value) for name, value in _numbers(run).items()},
        "samples": {name: _samples(run, name, given[name], values.get(name, {})) for name in run.streams.fed},
        "bad_values": [*bad_values(values)],
        "batch_bytes": size,
        "shapes": {name: list(tensor.shape) for name, tensor in tensors.items()},
        "streams": given,
        **_of_run(run),
        "checkpoint": _link_checkpoint(run, folder, span.start),
    }
    for name, text in run.config_texts.items():
        durable.write_bytes(folder / name, text.encode())
    durable.write_bytes(folder / FILE, without_hidden(json.dumps(record, indent=1)).encode())


def _of_error(error: BaseException | str) -> dict[str, Any]:
    if isinstance(error, str):
        return {"error": without_environment(error), "class": "", "traceback": []}
    lines = [*map(without_environment, traceback.format_exception(error))]
    return {"error": without_environment(str(error)), "class": type(error).__name__, "traceback": lines}


def _of_run(run: RunState) -> dict[str, Any]:
    return {
        "seed": run.sections.seed,
        "shift": run.data_offset,
        "rollbacks": run.rollbacks,
        "rank": ranks.rank(),
        "world_size": ranks.world_size(),
        "config": str(run.config_file) if run.config_file is not None else None,
        "overrides": list(run.overrides),
        "device": str(run.device),
        "device_name": torch.cuda.get_device_name(run.device) if run.device.type == "cuda" else platform.processor(),
        "versions": versions(),
    }


def _read_again(run: RunState, given: Mapping[str, int]) -> dict[str, Mapping[str, Any]]:
    """The part of this process of the batches at some positions; of streams that cannot be read, none."""
    found: dict[str, Mapping[str, Any]] = {}
    with kept_rng():
        for name in run.streams.fed:
            stream, start = run.streams.by_name[name], given[name]
            sampler = RankSampler(stream.batches, start, start + 1, ranks.rank(), ranks.world_size())
            try:
                found[name] = stream.named(next(stream.loader.here(sampler)))
            except Exception:  # Of the data set. The positions are recorded anyway.
                continue
    return found


def _tensors(values: Mapping[str, Mapping[str, Any]]) -> dict[str, Tensor]:
    """The tensors of batches, as `<stream>/<key>`."""
    arrays = {f"{stream}/{key}": value for stream, batch in values.items() for key, value in batch.items()}
    return {name: torch.as_tensor(value) for name, value in arrays.items() if isinstance(value, Tensor | np.ndarray)}


def _samples(run: RunState, name: str, position: int, batch: Mapping[str, Any]) -> dict[str, Any]:
    """The samples of the batch at a position of a stream: epoch, indices, and what they say about themselves."""
    batches = run.streams.by_name[name].batches
    part = next(iter(RankSampler(batches, position, position + 1, ranks.rank(), ranks.world_size())))
    names = [text for index in range(len(part)) if (text := identity(_sample(batch, index)))]
    return {"epoch": batches.epoch(position), "indices": [place.sample for place in part], "names": names}


def _sample(batch: Mapping[str, Any], index: int) -> dict[str, Any]:
    """The values of a sample that are not tensors, by the names that they have in the data set."""
    lists = {key.split(".")[-1]: value for key, value in batch.items() if isinstance(value, list)}
    return {key: value[index] for key, value in lists.items() if index < len(value)}


def bad_values(values: Mapping[str, Mapping[str, Any]]) -> Iterator[str]:
    """A line for each key with NaN or infinity, and the samples in which they are."""
    for name, tensor in _tensors(values).items():
        if can_be_non_finite(tensor) and tensor.dim() and not tensor.isfinite().all():
            places = (~tensor.isfinite()).flatten(1).any(1) if tensor.dim() > 1 else ~tensor.isfinite()
            numbers = places.nonzero().flatten().tolist()
            stream, key = name.split("/", 1)
            names = [identity(_sample(values[stream], number)) for number in numbers]
            listed = ", ".join(
                f"{number}{f' ({text})' if text else ''}" for number, text in zip(numbers, names, strict=True)
            )
            yield f"data.{stream}: {key!r} contains NaN or infinity in the samples {listed} of the batch"


def _numbers(run: RunState) -> dict[str, float]:
    """The means since the last log point of this process."""
    try:
        return {name: total / weight for name, (total, weight) in run.meters.state_dict().items() if weight}
    except Exception:  # The device may not work any more.
        return {}


def _json(value: float) -> float | str:
    return value if np.isfinite(value) else str(value)


def _link_checkpoint(run: RunState, folder: Path, iteration: int) -> int | None:
    """Let the incident keep the newest checkpoint before it. Returns its number; None: there is none."""
    number = max((number for number in run.store.numbers() if number <= iteration), default=None)
    if number is None:
        return None
    try:
        files = sorted(run.store.path(number).iterdir())
        if sum(file.stat().st_size for file in files) <= MOST_CHECKPOINT_BYTES:
            (folder / CHECKPOINT).mkdir()
            for file in files:
                durable.link_file(file, folder / CHECKPOINT / file.name)
    except (ArtschoolError, OSError):  # It was deleted or replaced just now; replay looks for another one.
        return number
    return number
