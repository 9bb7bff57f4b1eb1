"""The values of a micro-batch by key. Each key is written once."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from torch import Tensor

from artschool.errors import StateError
from artschool.wording.names import allowed


class Values(dict[str, Any]):
    """Values by key. Reading a missing key raises a StateError that lists the existing keys."""

    def __missing__(self, key: str) -> Any:
        raise StateError(f"no value for key {key!r}. {allowed('Available keys', key, self)}")


class State:
    """The values that the steps read and write for a micro-batch. Values can be of any type.

    Args:
        values: The initial values.
        writer: The writer of the initial values, for errors.
        index: The position of the micro-batch in its batch, from 0.

    Attributes:
        values: Values by key, for reading.
        called_early: The paths of the injectors that have run before the rest of their step.
    """

    def __init__(self, values: Mapping[str, Any], writer: str, index: int = 0) -> None:
        self.index = index
        self.values = Values(values)
        self.called_early: set[str] = set()
        self._writers = dict.fromkeys(values, writer)

    def write(self, key: str, value: object, *, writer: str) -> None:
        """Add a value.

        Raises:
            StateError: The key already has a value.
        """
        if key in self.values:
            raise StateError(
                f"{writer}: key {key!r} is already written by {self._writers[key]}. Fix: rename one of the keys"
            )
        self.values[key] = value
        self._writers[key] = writer

    def copy(self) -> State:
        """A state with the same values. What is written to one of them is not in the other."""
        other = State({}, "", self.index)
        other.values, other.called_early = Values(self.values), set(self.called_early)
        other._writers = dict(self._writers)
        return other

    def keep_only(self, keys: Collection[str]) -> None:
        """Drop all values except those of `keys`, and detach these from their gradients."""
        self.values = Values({key: detached(value) for key, value in self.values.items() if key in keys})


def detached(value: Any) -> Any:
    """The value detached from its gradient; also in lists, tuples and mappings."""
    if isinstance(value, Tensor):
        return value.detach() if value.requires_grad else value
    if isinstance(value, list):
        return [detached(part) for part in value]
    if isinstance(value, tuple):
        return tuple(detached(part) for part in value)
    if isinstance(value, dict):
        return {key: detached(part) for key, part in value.items()}
    return value
