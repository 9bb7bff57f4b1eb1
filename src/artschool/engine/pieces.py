"""Cuts values that steps have computed for a micro-batch into those of smaller micro-batches."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate, pairwise
from typing import Any

from torch import Tensor

from artschool.data.collate import cut_sizes
from artschool.errors import ResourceError


def pieces_of(key: str, value: Any, sizes: Sequence[int], count: int, is_given: bool) -> list[Any]:
    """The parts of a value, one for each of `count` smaller micro-batches.

    A tensor with a row for each sample is cut, also in lists, tuples and mappings. What has no rows is passed on whole.

    Args:
        key: For the error.
        sizes: Numbers of samples in the micro-batch, by stream.
        is_given: Whether the value is from the data, where a list may have an element for each sample, and tensors may
            have other rows.

    Raises:
        ResourceError: A component has computed a tensor whose rows are not samples, so that it does not fit a part.
    """
    if isinstance(value, Tensor) or (is_given and isinstance(value, list)):
        return _rows(key, value, sizes, count, is_given)
    if isinstance(value, dict):
        cut = [pieces_of(key, part, sizes, count, is_given) for part in value.values()]
        return [dict(zip(value, parts, strict=True)) for parts in _turned(cut, count)]
    if isinstance(value, list | tuple):
        cut = [pieces_of(key, part, sizes, count, is_given) for part in value]
        return [tuple(parts) if isinstance(value, tuple) else parts for parts in _turned(cut, count)]
    return [value] * count


def _rows(key: str, value: Any, sizes: Sequence[int], count: int, is_given: bool) -> list[Any]:
    has_rows = not isinstance(value, Tensor) or value.dim() > 0
    if has_rows and len(value) in sizes:
        return [value[start:stop] for start, stop in pairwise([0, *accumulate(cut_sizes(len(value), count))])]
    if has_rows and not is_given:
        raise ResourceError(
            f"key {key!r} of an earlier step cannot be cut (expected a row for each of {sizes[0]} samples, got shape "
            f"{tuple(value.shape)})"
        )
    return [value] * count


def _turned(cut: list[list[Any]], count: int) -> list[list[Any]]:
    """For each piece, its part of each element."""
    return [[parts[index] for parts in cut] for index in range(count)]
