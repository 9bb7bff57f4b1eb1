"""Reads files of tensors without running code from them."""

from __future__ import annotations

import zipfile
from pathlib import Path
from typing import Any

import torch
from pydantic import BaseModel, ConfigDict, ValidationError
from safetensors.torch import load_file
from torch._subclasses.fake_tensor import unset_fake_temporarily

from artschool.errors import CheckpointError
from artschool.paths import explained_relative, is_dir, is_file
from artschool.storage.shards import join, shard_files, stem_of

INDEX = ".safetensors.index.json"
FORMATS = (".safetensors", ".pt", ".pth", ".ckpt", INDEX)
OTHER_FORMATS = {
    ".npz": ". Fix: `save_file({name: torch.from_numpy(value) for name, value in numpy.load(...).items()}, ...)` of "
    "safetensors.torch",
    ".onnx": ". Fix: use the weights file from which the ONNX file was made",
    ".bin": ". Fix: rename it to .pt if torch.save wrote it",
}
"""What to do with files of other formats, by suffix."""
MAX_LISTED = 8


class _Index(BaseModel):
    """What an index must contain: the file of each tensor. It may contain more."""

    model_config = ConfigDict(strict=True)
    weight_map: dict[str, str]


def read_content(file: Path) -> Any:
    """The content of a file, on the CPU: a mapping for `.safetensors`, otherwise the value given to `torch.save`.

    `<name>.safetensors` of a sharded checkpoint is read from its files `<name>.shard-<rank>.safetensors`; each of them
    stands for all.

    Raises:
        CheckpointError: The file is missing or damaged, has an unknown format, or contains code.
    """
    try:
        return _content(file)
    except OSError as error:  # Of a path that is too long, or a folder that may not be read.
        raise CheckpointError(f"{file}: cannot read: {error.strerror or error}") from error


def _content(file: Path) -> Any:
    if is_dir(file):
        raise CheckpointError(f"{file}: expected a file, got a folder. {_advice(file)}")
    if file.suffix == ".safetensors" and (shards := shard_files(file)) and (file in shards or not is_file(file)):
        return _read_shards(shards)
    if not is_file(file):
        raise CheckpointError(f"{file}: file does not exist{explained_relative(file)}")
    if file.name.endswith(INDEX):
        return _read_parts(file)
    if file.suffix not in (".safetensors", ".pt", ".pth", ".ckpt"):
        fix = OTHER_FORMATS.get(file.suffix, "")
        raise CheckpointError(f"{file}: unknown format (expected .safetensors, .pt, .pth or .ckpt){fix}")
    try:
        # A trace has tensors without values, but it needs the real tensors of a file for their names and shapes.
        with unset_fake_temporarily():
            return load_file(file) if file.suffix == ".safetensors" else read_pickled(file)
    except Exception as error:  # A damaged file can raise any exception.
        raise CheckpointError(f"{file}: {_problem(error)}") from error


def read_pickled(file: Path) -> Any:
    """The value given to `torch.save`, on the CPU. Code is never run. A damaged file can raise any exception.

    Raises:
        ValueError: The file would take more memory than it has bytes, which torch.save never writes.
    """
    with file.open("rb") as stream:
        if stream.read(4) == b"PK\x03\x04":
            with zipfile.ZipFile(stream) as archive:
                expanded = sum(entry.file_size for entry in archive.infolist())
            if expanded > (size := file.stat().st_size):
                raise ValueError(f"its entries expand to {expanded:,} bytes, the file has {size:,}")
    return torch.load(file, map_location="cpu", weights_only=True)


def _read_shards(files: list[Path]) -> dict[str, torch.Tensor]:
    try:
        with unset_fake_temporarily():
            whole, divided = join(files, mapped=True)
            return {**whole, **{name: tensor.whole() for name, tensor in divided.items()}}
    except Exception as error:  # A damaged file can raise any exception.
        raise CheckpointError(f"{files[0]}: cannot read: {error}") from error


def _problem(error: Exception) -> str:
    # torch raises pickle's UnpicklingError for a file with code. pickle is not imported here on purpose.
    if "TorchScript" in str(error):
        fix = "Fix: save `torch.jit.load(...).state_dict()` with torch.save"
        return f"is a program of TorchScript, which is not run. {fix}"
    if type(error).__name__ != "UnpicklingError":
        return f"cannot read: {str(error) or type(error).__name__}"
    if "Unsupported operand" in str(error):  # Not a pickle, such as a web page that was saved as weights.
        return "cannot read: the file was not written by torch.save"
    return "contains code, which is not run. Fix: save only `network.state_dict()`"


def _read_parts(index: Path) -> dict[str, torch.Tensor]:
    """The tensors of all files that the index of a `.safetensors` file in parts names."""
    try:
        files = sorted({*_Index.model_validate_json(index.read_bytes()).weight_map.values()})
    except ValidationError:
        raise CheckpointError(f"{index}: is no index of a .safetensors file in parts (expected 'weight_map')") from None
    tensors: dict[str, torch.Tensor] = {}
    for name in files:
        part = index.parent / Path(name).name
        if part.suffix != ".safetensors":
            raise CheckpointError(f"{index}: expected parts that are .safetensors files, got {name}")
        tensors |= read_content(part)
    return tensors


def _advice(folder: Path) -> str:
    """The files of a folder, or of its newest checkpoint, that hold weights."""
    checkpoints = sorted(path for path in (folder / "checkpoints").glob("[0-9]*") if is_dir(path))
    folder = checkpoints[-1] if checkpoints else folder
    found = [path.name for path in folder.iterdir() if path.name.endswith(FORMATS)]
    names = sorted({f"{stem}.safetensors" if (stem := stem_of(name)) else name for name in found})
    names = [name for name in names if not name.startswith("state.")]  # Of the optimizers and components of a run.
    shown = ", ".join(names[:MAX_LISTED]) + (", ..." if len(names) > MAX_LISTED else "")
    return f"Fix: write one of the files in {folder}: {shown}" if names else f"{folder} has no weights file"
