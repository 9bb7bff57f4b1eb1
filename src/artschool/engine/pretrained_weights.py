"""Loads pretrained weights into a network by name, without running code from the file."""

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
"""Keys under which files of other projects store the weights, in the order in which they are tried."""
MAX_NAMES = 8


@dataclass(frozen=True)
class LoadReport:
    """The result of loading weights.

    Attributes:
        loaded: Number of tensors loaded.
        missing: Names that the network has and the file does not.
        unexpected: Names that the file has and the network does not.
    """

    loaded: int
    missing: list[str]
    unexpected: list[str]

    def __str__(self) -> str:
        parts = [f"{self.loaded} tensor{'' if self.loaded == 1 else 's'} loaded"]
        for kind, names in (("missing", self.missing), ("unexpected", self.unexpected)):
            if names:
                more = f" and {len(names) - MAX_NAMES} more" if len(names) > MAX_NAMES else ""
                parts.append(f"{len(names)} {kind}: {', '.join(names[:MAX_NAMES])}{more}")
        return "; ".join(parts)


def load_weights(
    network: nn.Module, file: Path, *, prefix: str = "", strict: bool = True, path: str = ""
) -> LoadReport:
    """Load weights into a network.

    Args:
        network: Names that match a pattern of its attribute `unused_weights` are ignored.
        file: `.safetensors`, `.pt`, `.pth` or `.ckpt`. Only tensors are read.
        prefix: Load only names that start with it, and remove it from them. `module.` is always removed.
        strict: Whether a missing or unexpected name is an error.
        path: Location of the network in the config file, for errors.

    Raises:
        CheckpointError: The file cannot be read, no name fits, a shape differs, or names differ and `strict` is true.
    """
    try:
        tensors = {name.removeprefix("module."): value for name, value in read_tensors(file).items()}
    except CheckpointError as error:
        raise CheckpointError(f"{path}.weights: {error}" if path else str(error)) from error
    if prefix:
        if not any(name.startswith(prefix) for name in tensors):
            raise CheckpointError(f"{path}.weights: {file}: no name starts with {prefix!r}. {_prefixes(tensors)}")
        tensors = {name.removeprefix(prefix): value for name, value in tensors.items() if name.startswith(prefix)}
    unused = getattr(network, "unused_weights", ())
    tensors = {name: value for name, value in tensors.items() if not any(fnmatchcase(name, p) for p in unused)}
    own = network.state_dict()
    fitting = {name: value for name, value in tensors.items() if name in own}
    report = LoadReport(len(fitting), sorted(own.keys() - tensors.keys()), sorted(tensors.keys() - own.keys()))
    if not fitting or (strict and (report.missing or report.unexpected)):
        fix = ". Fix: if this is intended, write `weights: {file: ..., strict: false}`" if fitting else ""
        raise CheckpointError(f"{path}.weights: {file}: does not fit the network: {report}{fix}")
    for name, value in fitting.items():
        if value.shape != own[name].shape:
            raise CheckpointError(
                f"{path}.weights: {file}: wrong shape of {name} "
                f"(expected {tuple(own[name].shape)}, got {tuple(value.shape)})"
            )
    network.load_state_dict(fitting, strict=False)
    return report


def read_tensors(file: Path) -> dict[str, Tensor]:
    """The tensors of a weights file by name.

    Raises:
        CheckpointError: The file is missing, has an unknown format, or contains code.
    """
    return _tensors_of(read_content(file), file)


def _prefixes(names: Iterable[str]) -> str:
    """The prefixes of names, up to the first dot, as a hint for the user."""
    prefixes = sorted({f"{name.partition('.')[0]}." for name in names if "." in name})
    if not prefixes:
        return "No name has a prefix"
    more = ", ..." if len(prefixes) > MAX_NAMES else ""
    return f"Available prefixes: {', '.join(prefixes[:MAX_NAMES])}{more}"


def _tensors_of(content: Any, file: Path) -> dict[str, Tensor]:
    while isinstance(content, Mapping):
        inner = next((content[key] for key in NESTED_KEYS if isinstance(content.get(key), Mapping)), None)
        if inner is None:
            break
        content = inner
    tensors = {str(k): v for k, v in content.items() if isinstance(v, Tensor)} if isinstance(content, Mapping) else {}
    if not tensors:
        raise CheckpointError(f"{file}: no named tensors found")
    return tensors
