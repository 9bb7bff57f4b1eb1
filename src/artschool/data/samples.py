"""What a sample has to be: a mapping with the keys and the kinds of values of the other samples."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from multiprocessing.reduction import ForkingPickler
from pathlib import PurePath
from typing import Any

import numpy as np
import torch
from torch import Tensor

from artschool.errors import DataError, text_of

Kind = tuple[str, Any, int]
"""What values of a key have in common: a noun, and the dtype and the number of dimensions of tensors and arrays."""

NUMBER: Kind = ("a number", None, 0)
TEXT: Kind = ("text", None, 0)
MAX_TEXT = 60
_DISPLAYED = ("name", "path", "file", "filename", "id", "key", "url")
"""Keys whose value identifies a sample for the user."""


@dataclass(frozen=True)
class SampleForm:
    """The keys of a sample and the kind of value of each. All samples of a data set have the same.

    Attributes:
        index: Index of the sample.
        optional: Keys that only some samples have.
    """

    index: int
    kinds: Mapping[str, Kind] = field(default_factory=dict)
    optional: Collection[str] = ()

    def check(self, kinds: Mapping[str, Kind]) -> None:
        """Compare with the kinds of another sample.

        Raises:
            DataError: The keys or the kinds differ.
        """
        if kinds == self.kinds:
            return
        if (kinds.keys() ^ self.kinds.keys()).difference(self.optional):
            fix = "Fix: return the same keys for every sample; `requires` of a step allows keys that some batches lack"
            raise DataError(f"expected {self}, got {_listed(kinds)}\n    {fix}")
        for key, kind in kinds.items():
            expected = self.kinds.get(key, kind)
            if kind != expected:
                as_in = f"as in sample {self.index}, got {_described(kind)}"
                raise DataError(f"{key!r}: expected {_described(expected)}, {as_in}")

    def __str__(self) -> str:
        return f"the keys {_listed(self.kinds)}, as in sample {self.index}"


@dataclass(frozen=True)
class DeclaredKeys:
    """The keys that a data set declares. A sample has them, and maybe more."""

    keys: Sequence[str]

    def check(self, kinds: Mapping[str, Kind]) -> None:
        """Compare with a sample.

        Raises:
            DataError: A key is missing.
        """
        if not kinds.keys() >= {*self.keys}:
            fix = "Fix: return these keys from `__getitem__`, or list those of the samples in the option `keys`"
            raise DataError(f"expected {self}, got {_listed(kinds)}\n    {fix}")

    def __str__(self) -> str:
        return f"the keys {_listed(self.keys)}, as declared" if self.keys else "keys and values"


def kinds_of(sample: Any, expected: SampleForm | DeclaredKeys) -> dict[str, Kind]:
    """The kind of value of each key.

    Raises:
        DataError: The sample is not a mapping with the expected keys and kinds, or a value cannot be part of a batch.
    """
    if type(sample) is not dict and not isinstance(sample, Mapping):
        raise DataError(
            f"expected a mapping with {expected}, got {_outline(sample)}\n    Fix: return a dict from `__getitem__`"
        )
    kinds = {}
    for key, value in sample.items():
        if not isinstance(key, str):
            raise DataError(f"expected keys that are text, got {key!r}")
        kinds[key] = _kind(key, value)
    if not kinds:
        raise DataError("expected a mapping of keys to values, got one without keys")
    expected.check(kinds)
    return kinds


def identity(sample: Any) -> str:
    """The key and the text that identify a sample for the user, such as `name '003.png'`; nothing if it has none."""
    if type(sample) is not dict:
        return ""
    for key in _DISPLAYED:
        value = sample.get(key)
        if isinstance(value, str | PurePath):
            return f"{key} {_shortened(repr(str(value)))}"
    return ""


def _kind(key: str, value: Any) -> Kind:
    if isinstance(value, Tensor):
        if value.requires_grad or not value.is_cpu or value.layout is not torch.strided:
            raise _unusable(key, value)
        return ("tensor", value.dtype, value.dim())
    if isinstance(value, str):
        return TEXT
    if isinstance(value, bool | int | float | np.number | np.bool_):
        return NUMBER
    if isinstance(value, np.ndarray):
        _check_array(key, value)
        return ("array", value.dtype.newbyteorder("="), value.ndim)
    if value is None:
        raise DataError(f"{key!r}: expected a value, got None\n    Fix: return a value, or no sample with this key")
    _check_other(key, value)
    return (f"a {type(value).__name__}", None, 0)


def _unusable(key: str, value: Tensor) -> DataError:
    if value.requires_grad:
        return DataError(f"{key!r}: expected a tensor without gradients\n    Fix: return `value.detach()`")
    if not value.is_cpu:
        fix = "Fix: return `value.cpu()`; batches are moved to the device of the run"
        return DataError(f"{key!r}: expected a tensor on the CPU, got one on {value.device}\n    {fix}")
    found = str(value.layout).removeprefix("torch.")
    return DataError(f"{key!r}: expected a dense tensor, got the layout {found}\n    Fix: return `value.to_dense()`")


def _check_array(key: str, value: np.ndarray[Any, Any]) -> None:
    if value.dtype.kind not in "biufc" or value.dtype.itemsize > np.dtype(np.complex128).itemsize:
        fix = "Fix: convert it with `.astype`, or with `.tolist()` to a list"
        raise DataError(f"{key!r}: expected an array of numbers, got dtype {value.dtype}\n    {fix}")


def _check_other(key: str, value: Any) -> None:
    """Check that a value can be sent from a worker, also where there are none."""
    if type(value) not in (list, tuple, dict):
        _check_sendable(key, value)
        return
    for part in value.values() if type(value) is dict else value:
        if part is not None:
            _kind(key, part)


def _check_sendable(key: str, value: Any) -> None:
    if isinstance(value, bytes | complex | PurePath):
        return
    try:
        ForkingPickler.loads(ForkingPickler.dumps(value))
    except Exception as error:  # The value's own code runs.
        raise DataError(
            f"{key!r}: {_outline(value)} cannot be sent from a worker: {text_of(error)}\n"
            "    Fix: return tensors, arrays, numbers, text, or lists of them"
        ) from error


def _listed(keys: Any) -> str:
    return ", ".join(sorted(map(str, keys)))


def _described(kind: Kind) -> str:
    noun, dtype, dims = kind
    if dtype is None:
        return noun
    name = str(dtype).removeprefix("torch.")
    return f"{'an' if name[0] in 'iu' else 'a'} {name} {noun} of {dims} dimension{'' if dims == 1 else 's'}"


def _outline(value: Any) -> str:
    if value is None:
        return "None"
    if isinstance(value, Tensor | np.ndarray):
        noun = "tensor" if isinstance(value, Tensor) else "array"
        return f"{'a' if noun == 'tensor' else 'an'} {noun} of shape {tuple(value.shape)}"
    if isinstance(value, list | tuple):
        return f"a {type(value).__name__} of {len(value)} value{'' if len(value) == 1 else 's'}"
    return f"an object of class {type(value).__name__}"


def _shortened(text: str) -> str:
    return text if len(text) <= MAX_TEXT else f"{text[: MAX_TEXT - 3]}..."
