"""Joins samples to batches and cuts batches into micro-batches. Every key of a sample is kept."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from artschool.errors import DataError


@dataclass(frozen=True)
class Collate:
    """Joins samples to a batch.

    Tensors, arrays and numbers are stacked along a new first dimension. Other values become lists.

    Attributes:
        pad: Keys of tensors that differ in their last dimension. They are padded with zeros to the longest of the
            batch, and `<key>_lengths`, (B,), contains their original lengths.
        trim: Whether each tensor with a `<key>_lengths` is cut in its last dimension to the largest length.
        sort_key: Key of a number, such as a length. The batch is sorted by it, largest first. None: not sorted.
    """

    pad: Sequence[str] = ()
    trim: bool = False
    sort_key: str | None = None

    def __call__(self, samples: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
        """The batch.

        Raises:
            DataError: Samples have different keys, tensors of a key have different shapes, or an option names a
                missing key.
        """
        _check_keys(samples)
        if self.pad:
            samples = [{**sample, **self._lengths(sample)} for sample in samples]
        if self.sort_key is not None:
            samples = sorted(samples, key=self._sort_value, reverse=True)
        batch = {key: self._join(key, [sample[key] for sample in samples]) for key in samples[0]}
        return {key: _trimmed(key, value, batch) for key, value in batch.items()} if self.trim else batch

    def _lengths(self, sample: Mapping[str, Any]) -> dict[str, int]:
        lengths = {}
        for key in self.pad:
            shape = getattr(sample.get(key), "shape", ())
            if not shape:
                raise DataError(f"`pad`: {key!r} is not a tensor with at least one dimension. {_known_keys(sample)}")
            lengths[f"{key}_lengths"] = shape[-1]
        return lengths

    def _sort_value(self, sample: Mapping[str, Any]) -> float:
        try:
            return float(sample[self.sort_key or ""])
        except KeyError:
            raise DataError(f"`sort_key`: no key {self.sort_key!r} in the samples. {_known_keys(sample)}") from None
        except (TypeError, ValueError, RuntimeError):
            raise DataError(f"`sort_key`: {self.sort_key!r} is not a number") from None

    def _join(self, key: str, values: list[Any]) -> Any:
        if not isinstance(values[0], Tensor):
            if isinstance(values[0], np.ndarray | np.number | np.bool_):
                values = [_tensor(value) for value in values]
            elif isinstance(values[0], bool | int | float):
                return torch.tensor(values)
            else:
                return values
        if key in self.pad:
            longest = max(value.shape[-1] for value in values)
            values = [F.pad(value, (0, longest - value.shape[-1])) for value in values]
        try:
            return torch.stack(values)
        except (RuntimeError, TypeError) as error:
            listing = ", ".join(sorted({str(tuple(value.shape)) for value in values if isinstance(value, Tensor)}))
            raise DataError(
                f"{key!r}: cannot stack tensors of different shapes: {listing}. Fix: crop them or list the key in `pad`"
            ) from error


def _tensor(value: Any) -> Tensor:
    array = np.asarray(value)
    # torch takes neither negative strides, which a flipped image has, nor another byte order.
    return torch.from_numpy(np.require(array, dtype=array.dtype.newbyteorder("="), requirements="C"))


def _check_keys(samples: Sequence[Mapping[str, Any]]) -> None:
    first = samples[0]
    if not isinstance(first, Mapping):
        raise DataError(f"expected samples that are mappings of keys to values, got {type(first).__name__}")
    keys = first.keys()
    for sample in samples:
        if sample.keys() != keys:
            differing = ", ".join(sorted(sample.keys() ^ keys))
            raise DataError(f"samples of a batch have different keys: {differing} missing in some of them")


def _known_keys(sample: Mapping[str, Any]) -> str:
    return f"Available keys: {', '.join(map(str, sample))}"


def _trimmed(key: str, value: Any, batch: Mapping[str, Any]) -> Any:
    lengths = batch.get(f"{key}_lengths")
    if not isinstance(value, Tensor) or value.dim() < 2 or not isinstance(lengths, Tensor):
        return value
    return value[..., : int(lengths.max())].contiguous()


def size_of(batch: Mapping[str, Any]) -> int:
    """The number of samples in a batch."""
    return next((len(value) for value in batch.values() if isinstance(value, list) or _has_samples(value)), 1)


def _has_samples(value: Any) -> bool:
    return isinstance(value, Tensor) and value.dim() > 0


def micro_batches(batch: Mapping[str, Any], count: int) -> Iterator[tuple[dict[str, Any], int]]:
    """Cut a batch into at most `count` micro-batches whose sizes differ by at most one.

    Yields:
        Each micro-batch and its number of samples. Tensors and lists with an element for each sample are cut; all other
        values are passed on whole.
    """
    size = size_of(batch)
    if count == 1:
        yield dict(batch), size
        return
    start = 0
    for part in cut_sizes(size, min(count, size)):
        yield {key: _cut(value, size, start, start + part) for key, value in batch.items()}, part
        start += part


def cut_sizes(size: int, count: int) -> list[int]:
    """The sizes of `count` parts of `size` samples. They differ by at most one."""
    return [(index + 1) * size // count - index * size // count for index in range(count)]


def _cut(value: Any, size: int, start: int, stop: int) -> Any:
    if (isinstance(value, list) or _has_samples(value)) and len(value) == size:
        return value[start:stop]
    return value
