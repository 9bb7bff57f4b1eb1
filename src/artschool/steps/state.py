"""The values of one micro-batch by key, each written once."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from torch import Tensor

from artschool.errors import StateError, allowed


class Values(dict[str, Any]):
    """Key to value; reading a key that is not there says which there are."""

    def __missing__(self, key: str) -> Any:
        raise StateError(f"nothing has written {key!r}. {allowed('There are', key, self)}")


class State:
    """What flows through the steps for one micro-batch. Any value may enter, not only tensors.

    Args:
        index: Which micro-batch of its batch it is, from 0.

    Attributes:
        values: Key to value, to read from.
    """

    def __init__(self, values: Mapping[str, Any], writer: str, index: int = 0) -> None:
        self.index = index
        self.values = Values(values)
        self._writers = dict.fromkeys(values, writer)

    def write(self, key: str, value: object, *, writer: str) -> None:
        """Add a value.

        Raises:
            StateError: The key is there already; the text names both writers.
        """
        if key in self.values:
            raise StateError(f"{writer} writes {key!r}, already written by {self._writers[key]}; rename one of them")
        self.values[key] = value
        self._writers[key] = writer

    def keep_only(self, keys: Collection[str]) -> None:
        """Drop every value that nothing later reads, and cut the rest from the graph of its gradient."""
        self.values = Values((key, detached(value)) for key, value in self.values.items() if key in keys)


def detached(value: Any) -> Any:
    """The value without its history; lists, tuples and mappings of tensors too."""
    if isinstance(value, Tensor):
        return value.detach() if value.requires_grad else value
    if isinstance(value, list):
        return [detached(part) for part in value]
    if isinstance(value, tuple):
        return tuple(detached(part) for part in value)
    if isinstance(value, dict):
        return {key: detached(part) for key, part in value.items()}
    return value
