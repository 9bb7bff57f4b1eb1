"""The parts of sharded tensors in a checkpoint. Each process writes and reads its own; no process gathers them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import torch
from torch import Tensor

from artschool import ranks
from artschool.engine.background import TensorFiles
from artschool.errors import ArtschoolError, CheckpointError, ResourceError, describe
from artschool.storage.checkpoint_files import FileRecord
from artschool.storage.recorded_files import write_parts
from artschool.storage.shards import Place, Saved, Shards, region, shard_stem

Records = dict[str, FileRecord]


class Parts:
    """What this process saves of the files that contain sharded tensors.

    Tensors that are not sharded are saved by the main process.

    Attributes:
        values: The parts by file and name.
        places: Where each part lies in its tensor, by file and name.
    """

    def __init__(self, files: TensorFiles) -> None:
        self.values: dict[str, dict[str, Tensor]] = {}
        self.places: dict[str, dict[str, Place]] = {}
        for stem, named in files.items():
            own = {name: part for name, tensor in named.items() if (part := part_of(tensor)) is not None}
            file = shard_stem(stem, ranks.rank())
            self.values[file] = {name: values for name, (values, _) in own.items()}
            self.places[file] = {name: place for name, (_, place) in own.items()}


def has_shards(tensors: Mapping[str, Tensor]) -> bool:
    """Whether any tensor is sharded."""
    return any(ranks.is_sharded(tensor) for tensor in tensors.values())


@contextmanager
def folder_for_others(group: ranks.Group) -> Iterator[Callable[[Path, Parts], Records]]:
    """Let all processes write into a folder. The main process enters this, the others call `save_parts`.

    Yields:
        A function for the main process. The others wait for the folder until it is called or the block ends.
    """
    is_told = False

    def write(folder: Path, parts: Parts) -> Records:
        nonlocal is_told
        is_told = True
        ranks.tell(str(folder), group)
        return _write(folder, parts, group)

    try:
        yield write
    finally:
        if not is_told:
            ranks.tell("", group)


def save_parts(group: ranks.Group, parts: Parts) -> None:
    """Write the parts of this process into the folder that the main process has created, if it could."""
    folder = ranks.tell("", group)
    if folder:
        _write(Path(folder), parts, group)


def _write(folder: Path, parts: Parts, group: ranks.Group) -> Records:
    records: Records = {}
    with failing_together(group):
        records = write_parts(folder, parts.values, parts.places)
    return {name: record for own in ranks.gather(records, group) for name, record in own.items()}


@contextmanager
def failing_together(group: ranks.Group = None) -> Iterator[None]:
    """If the block raises in one process, it raises in all of them, with the exit code of the first of these ranks.

    Raises:
        ResourceError: The disk has refused a write of another process.
        CheckpointError: Another process has failed for another reason.
    """
    error: BaseException | None = None
    try:
        yield
    except BaseException as failure:
        error = failure
    own = None if error is None else (describe(error), getattr(error, "exit_code", 1))
    failed = [(rank, *found) for rank, found in enumerate(ranks.gather(own, group)) if found is not None]
    if failed:
        rank, text, exit_code = failed[0]
        kind = ResourceError if exit_code == ResourceError.exit_code else CheckpointError
        error = error or kind(f"rank {rank} could not save the checkpoint: {text}")
        if isinstance(error, ArtschoolError):
            error.exit_code = exit_code
        raise error


@torch.no_grad()
def fill(tensor: Tensor, value: Saved) -> None:
    """Give the part of a sharded tensor that this process has its values from a checkpoint."""
    local = ranks.local(tensor)
    if local.numel():
        local.copy_(region(value, _offsets(tensor), local.shape))


def shard_like(value: Saved, tensor: Tensor) -> Tensor:
    """A tensor of a checkpoint, divided like a sharded tensor of the same shape. Only the part is read."""
    result = torch.empty_like(tensor, dtype=value.dtype)
    fill(result, value)
    return result


def part_of(tensor: Tensor) -> tuple[Tensor, Place] | None:
    """What this process saves of a tensor. None: nothing."""
    shape = tuple(tensor.shape)
    if not ranks.is_sharded(tensor):
        return (tensor, Place((0,) * tensor.dim(), shape)) if ranks.is_main() else None
    local = ranks.local(tensor)
    if not local.numel() or not _is_first_copy(tensor):
        return None
    return local, Place(_offsets(tensor), shape)


def shard_of(tensor: Tensor, local: Tensor) -> Shards:
    """A sharded tensor as of a checkpoint that has only the part of this process, whose values are `local`."""
    return Shards(tensor.shape, [(_offsets(tensor) if local.numel() else (0,) * tensor.dim(), local)])


def _offsets(tensor: Tensor) -> tuple[int, ...]:
    """Where the part of this process begins in a sharded tensor, as torch.distributed.checkpoint asks for it."""
    (chunk,) = tensor.__create_chunk_list__()  # type: ignore[attr-defined]  # a DTensor
    return tuple(chunk.offsets)


def _is_first_copy(tensor: Tensor) -> bool:
    """Whether no process of lower rank has the same part of a sharded tensor."""
    mesh, placements = tensor.device_mesh, tensor.placements  # type: ignore[attr-defined]  # a DTensor
    return all(at == 0 or not place.is_replicate() for at, place in zip(mesh.get_coordinate(), placements, strict=True))
