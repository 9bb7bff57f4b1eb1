"""A component bound to its keys: reads values, calls, and either writes what comes back or hands it on."""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from torch import Tensor

from artschool.config.when import When
from artschool.errors import Place, StateError
from artschool.steps.state import State, detached

DROPPED = "_"
"""The name in `out:` of a value that nobody needs, alone or in a list."""


def reader(value: Any) -> Callable[[Mapping[str, Any]], Any]:
    """A function that finds a value: text is a key, also inside lists and mappings; anything else is itself."""
    if isinstance(value, str):
        return operator.itemgetter(value)
    if isinstance(value, list | tuple):
        parts = [reader(part) for part in value]
        return lambda values: [part(values) for part in parts]
    if isinstance(value, dict):
        named = {name: reader(part) for name, part in value.items()}
        return lambda values: {name: part(values) for name, part in named.items()}
    return lambda values: value


@dataclass(eq=False)
class Call:
    """One component of a plan, everything but its keys bound.

    Attributes:
        place: Where it stands, for errors.
        function: Takes the keys' values by keyword.
        keys: Parameter to what stands for it in the file.
    """

    path: str
    place: Place
    function: Callable[..., Any]
    keys: Mapping[str, Any]
    when: When

    def __post_init__(self) -> None:
        self._readers = [(parameter, reader(value)) for parameter, value in self.keys.items()]

    def __call__(self, state: State) -> Any:
        """Call with the values of the state."""
        values = state.values
        try:
            return self.function(**{parameter: read(values) for parameter, read in self._readers})
        except Exception as error:  # Whatever a component raises is told with the line of the file and its inputs.
            error.add_note("\n    ".join([f"{self.place}: {self.path}", *self.inputs(state)]))
            raise

    def inputs(self, state: State) -> list[str]:
        """A line for each key that it reads: the parameter, the key and what it holds."""
        lines = []
        for parameter, keys in self.keys.items():
            names = [keys] if isinstance(keys, str) else keys if isinstance(keys, list) else []
            lines += [f"{parameter} {n!r}: {describe_value(state.values.get(n))}" for n in names if isinstance(n, str)]
        return lines


@dataclass(eq=False)
class InjectorCall(Call):
    """A call that writes what it returns under the names of `out:`.

    Attributes:
        once: Whether micro-batches after the first get what the first got, without gradient.
    """

    out: str | list[str]
    once: bool = False
    _first: Any = field(default=None, init=False)

    def __call__(self, state: State) -> None:
        """Call, and write the results into the state.

        Raises:
            StateError: It returned another number of values than `out:` names.
        """
        if self.once and state.index > 0:
            result = self._first
        else:
            result = super().__call__(state)
            if self.once:
                self._first = detached(result)
        if isinstance(self.out, str):
            if self.out != DROPPED:
                state.write(self.out, result, writer=self.path)
            return
        if not isinstance(result, Sequence) or len(result) != len(self.out):
            found = len(result) if isinstance(result, Sequence) else "one value"
            if len(self.out) == 1 and not isinstance(result, Sequence):
                raise StateError(f"{self.place}: {self.path}: one value came back; write `out: {self.out[0]}`")
            raise StateError(f"{self.place}: {self.path}: names {len(self.out)} results, but {found} came back")
        for key, value in zip(self.out, result, strict=True):
            if key != DROPPED:
                state.write(key, value, writer=self.path)


@dataclass(eq=False)
class LossCall(Call):
    """A call that returns a scalar, with the weight it has in the step's total, and its name in the log."""

    weight: float
    name: str

    def __call__(self, state: State) -> Tensor:
        """Call.

        Raises:
            StateError: It returned something other than a scalar tensor.
        """
        value = super().__call__(state)
        if not isinstance(value, Tensor) or value.dim() != 0:
            raise StateError(f"{self.place}: {self.path}: a loss returns a scalar, found {describe_value(value)}")
        return value


def describe_value(value: Any) -> str:
    """What a value is, in a few words: `(16, 3, 64, 64) float32 on cpu`."""
    if isinstance(value, Tensor):
        return f"{tuple(value.shape)} {str(value.dtype).removeprefix('torch.')} on {value.device}"
    if isinstance(value, list | tuple):
        kinds = {describe_value(part) if isinstance(part, Tensor) else type(part).__name__ for part in value}
        return f"a {type(value).__name__} of {len(value)}" + (f", each {kinds.pop()}" if len(kinds) == 1 else "")
    return type(value).__name__
