"""Components bound to their keys: they read values, call the component, and write or return the result."""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from torch import Tensor

from artschool.config.when import When
from artschool.errors import StateError, readable
from artschool.faults import Place
from artschool.steps.state import State, detached

DROPPED = "_"
"""The name in `out:`, alone or in a list, of a result that is dropped."""


def reader(value: Any) -> Callable[[Mapping[str, Any]], Any]:
    """A function that looks up a value: text is a key, also in lists and mappings; other values are constants."""
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
    """A component with everything bound except its keys.

    Attributes:
        path: The path of the component in the config file.
        place: The location of the component, for errors.
        function: Takes the values of the keys as keyword arguments.
        keys: For each parameter, its key, or a list or mapping of keys.
        when: The iterations at which the component is active.
    """

    path: str
    place: Place
    function: Callable[..., Any]
    keys: Mapping[str, Any]
    when: When

    def __post_init__(self) -> None:
        self._readers = [(parameter, reader(value)) for parameter, value in self.keys.items()]

    def __call__(self, state: State) -> Any:
        """Call the component with values of the state."""
        values = state.values
        try:
            return self.function(**{parameter: read(values) for parameter, read in self._readers})
        except BaseException as error:  # Every exception gets the location and the inputs of the component.
            known = readable(error)
            known.add_note("\n    ".join([f"{self.place}: {self.path}", *self.inputs(state)]))
            if known is error:
                raise
            raise known  # noqa: B904  # it has its cause

    def inputs(self, state: State) -> list[str]:
        """A line for each key that the component reads: the parameter, the key, and a description of the value."""
        lines = []
        for parameter, keys in self.keys.items():
            names = [keys] if isinstance(keys, str) else keys if isinstance(keys, list) else []
            lines += [f"{parameter} {n!r}: {_described(n, state.values.get(n))}" for n in names if isinstance(n, str)]
        return lines


def _described(key: str, value: Any) -> str:
    """A description of the value of a key. A list of one is mostly one that `out` has not taken apart."""
    fix = f". For its only item, write `out: [{key}]`" if isinstance(value, list | tuple) and len(value) == 1 else ""
    return f"{describe_value(value)}{fix}"


@dataclass(eq=False)
class InjectorCall(Call):
    """An injector, whose results are written to the keys of `out:`.

    Attributes:
        out: The key of the result, or a list of keys.
        once: Whether the later micro-batches reuse the result of the first one, without gradient.
    """

    out: str | list[str]
    once: bool = False
    _first: Any = field(default=None, init=False)

    def __call__(self, state: State) -> None:
        """Call the injector and write its results to the state.

        Raises:
            StateError: The number of results differs from the number of keys in `out:`.
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
                raise StateError(
                    f"{self.place}: {self.path}: one result, but `out` is a list. Fix: write `out: {self.out[0]}`"
                )
            raise StateError(
                f"{self.place}: {self.path}: wrong number of results (expected {len(self.out)}, got {found})"
            )
        for key, value in zip(self.out, result, strict=True):
            if key != DROPPED:
                state.write(key, value, writer=self.path)


@dataclass(eq=False)
class LossCall(Call):
    """A loss.

    Attributes:
        weight: The factor of the loss in the total of the step, or its key.
        name: The name of the loss in the log.
        count: Counts the places that the loss is a mean over. None: it is a mean over samples.
        out: The key to which the step writes the value. None: none.
    """

    weight: float | str
    name: str
    count: Call | None = None
    out: str | None = None

    def __call__(self, state: State) -> Tensor:
        """Call the loss.

        Raises:
            StateError: The result is not a scalar tensor.
        """
        value = super().__call__(state)
        if not isinstance(value, Tensor) or value.dim() != 0:
            raise StateError(f"{self.place}: {self.path}: expected a scalar tensor, got {describe_value(value)}")
        return value

    def factor(self, state: State) -> Tensor | float:
        """The weight, without gradient.

        Raises:
            StateError: The value of its key is not a scalar tensor.
        """
        if not isinstance(self.weight, str):
            return self.weight
        value = state.values[self.weight]
        if not isinstance(value, Tensor) or value.dim() != 0:
            raise StateError(
                f"{self.place}: {self.path}.weight: expected a scalar tensor in {self.weight!r}, "
                f"got {describe_value(value)}"
            )
        return value.detach()

    def places(self, state: State) -> Tensor | float:
        """The number of places that the loss is a mean over. Not for losses without `count`.

        Raises:
            StateError: `count` returned something other than one number.
        """
        assert self.count is not None
        value = self.count(state)
        if isinstance(value, int | float):
            return value
        if not isinstance(value, Tensor) or value.dim() != 0:
            raise StateError(f"{self.place}: {self.path}: expected a number from `count`, got {describe_value(value)}")
        return value.detach()


def without_gradient(value: Tensor) -> tuple[str, str] | None:
    """Why the value of a loss can have no gradient, and what to do about it. None: its type allows one."""
    kind, fix = "an integer", "Fix: compute it from floating-point values."
    if value.is_complex():
        kind, fix = "a complex number", "Fix: take its magnitude or real part."
    elif value.is_floating_point():
        return None
    return f"is {kind} ({str(value.dtype).removeprefix('torch.')}), which has no gradient", fix


def describe_value(value: Any) -> str:
    """A short description of a value: `(16, 3, 64, 64) float32 on cpu`."""
    if isinstance(value, Tensor):
        return f"{tuple(value.shape)} {str(value.dtype).removeprefix('torch.')} on {value.device}"
    if isinstance(value, list | tuple):
        kinds = {describe_value(part) if isinstance(part, Tensor) else type(part).__name__ for part in value}
        return f"a {type(value).__name__} of {len(value)}" + (f", each {kinds.pop()}" if len(kinds) == 1 else "")
    return type(value).__name__
