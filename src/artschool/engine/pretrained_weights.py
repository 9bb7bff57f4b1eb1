"""Pretrained weights: read without running any code, fitted to a network by name, with a report of what did not fit."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from artschool.errors import CheckpointError
from artschool.storage.tensors import read_content

NESTED_KEYS = ("state_dict", "model", "model_state_dict", "params_ema", "params")
"""Keys under which others' files keep the weights; looked at in this order."""
MAX_NAMES = 8


@dataclass(frozen=True)
class LoadReport:
    """Which names fitted, which the network has and the file has not, and the other way round."""

    loaded: int
    missing: list[str]
    unexpected: list[str]

    def __str__(self) -> str:
        parts = [f"{self.loaded} tensors loaded"]
        for what, names in (("missing", self.missing), ("unexpected", self.unexpected)):
            if names:
                more = ", ..." if len(names) > MAX_NAMES else ""
                parts.append(f"{len(names)} {what}: {', '.join(names[:MAX_NAMES])}{more}")
        return "; ".join(parts)


def load_weights(
    network: nn.Module, file: Path, *, prefix: str = "", strict: bool = True, path: str = ""
) -> LoadReport:
    """Load weights into a network.

    Args:
        network: Names that match a pattern of its `unused_weights`, if it has some, are passed over.
        file: `.safetensors`, or `.pt`, `.pth` or `.ckpt`, of which only tensors are read.
        prefix: Take only names that start with it, and take it off; `module.` is taken off always.
        strict: Whether a missing or unexpected name is an error.
        path: The network's place in the file, for errors.

    Raises:
        CheckpointError: The file cannot be read, a shape differs, names differ though `strict`, or nothing fits.
    """
    try:
        tensors = {name.removeprefix("module."): value for name, value in read_tensors(file).items()}
    except CheckpointError as error:
        raise CheckpointError(f"{path}.weights: {error}" if path else str(error)) from error
    if prefix:
        if not any(name.startswith(prefix) for name in tensors):
            raise CheckpointError(f"{path}.weights: {file} has no name that starts with {prefix!r}; {_begins(tensors)}")
        tensors = {name.removeprefix(prefix): value for name, value in tensors.items() if name.startswith(prefix)}
    unused = getattr(network, "unused_weights", ())
    tensors = {name: value for name, value in tensors.items() if not any(fnmatchcase(name, p) for p in unused)}
    own = network.state_dict()
    fitting = {name: value for name, value in tensors.items() if name in own}
    report = LoadReport(len(fitting), sorted(own.keys() - tensors.keys()), sorted(tensors.keys() - own.keys()))
    if not fitting or (strict and (report.missing or report.unexpected)):
        way_out = "" if not fitting else "; write `weights: {file: ..., strict: false}` if that is meant"
        raise CheckpointError(f"{path}.weights: {file} does not fit: {report}{way_out}")
    for name, value in fitting.items():
        if value.shape != own[name].shape:
            raise CheckpointError(
                f"{path}.weights: {file}: {name} is {tuple(value.shape)}, the network's is {tuple(own[name].shape)}"
            )
    network.load_state_dict(fitting, strict=False)
    return report


def read_tensors(file: Path) -> dict[str, Tensor]:
    """The tensors of a weights file by name.

    Raises:
        CheckpointError: It is missing, of another format, or holds something that is not a tensor.
    """
    return _tensors_of(read_content(file), file)


def _begins(names: Iterable[str]) -> str:
    """The prefixes that a user may have meant: what names begin with, up to the first dot."""
    begins = sorted({f"{name.partition('.')[0]}." for name in names if "." in name})
    more = ", ..." if len(begins) > MAX_NAMES else ""
    return f"they start with {', '.join(begins[:MAX_NAMES])}{more}"


def _tensors_of(content: Any, file: Path) -> dict[str, Tensor]:
    while isinstance(content, Mapping):
        inner = next((content[key] for key in NESTED_KEYS if isinstance(content.get(key), Mapping)), None)
        if inner is None:
            break
        content = inner
    tensors = {str(k): v for k, v in content.items() if isinstance(v, Tensor)} if isinstance(content, Mapping) else {}
    if not tensors:
        raise CheckpointError(f"{file} holds no tensors by name")
    return tensors
