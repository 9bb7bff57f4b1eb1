"""The values that a cut needs: given ones, spread over samples, and made ones."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from artschool.apply.opened import FILED_DIMS
from artschool.data.collate import size_of
from artschool.engine.data_examples import Example
from artschool.errors import DataError
from artschool.model.absent import ConditionExample
from artschool.model.cut import Cut

ExampleOf = Callable[[str], Example | None]
"""What is known of the values of a key."""


def sampled_inputs(
    cut: Cut, given: Mapping[str, Any], count: int, example_of: ExampleOf, folder: Path
) -> dict[str, Any]:
    """The values for some samples: given ones, labels that cycle over their classes, and zeros of known shape.

    Args:
        given: A value for all samples, or a list or tensor with one for each sample; a shorter list is repeated.
        folder: The run folder, for errors.

    Raises:
        DataError: A key has no value and cannot be made, or a value is not one of the key.
    """
    values = {key: _spread(key, value, count, example_of(key)) for key, value in given.items()}
    made = {key: _made(cut, key, count, example_of(key)) for key in cut.needs if key not in given}
    if missing := [key for key, value in made.items() if value is None]:
        raise DataError(_cannot_make(cut, missing, example_of, folder))
    return values | made


def can_be_sampled(cut: Cut, given: Collection[str], example_of: ExampleOf) -> bool:
    """Whether all keys that are not given can be made."""
    return all(key in given or _made(cut, key, 1, example_of(key)) is not None for key in cut.needs)


def applied_inputs(cut: Cut, given: Mapping[str, Any], example_of: ExampleOf) -> dict[str, Any]:
    """The values for given data. Of keys of which only the shape is read, zeros are made.

    Sizes that differ from those of the example are scaled alike: an image that is twice as wide as the example of its
    key gives other keys twice the width of theirs.

    Raises:
        DataError: A key has no value.
    """
    made = {key: example_of(key) for key in cut.of_shape - given.keys()}
    missing = [key for key in cut.needs if key not in given and made.get(key) is None]
    if missing:
        raise DataError(
            f"{', '.join(map(repr, cut.keys))} of {cut.flow.path} needs {', '.join(map(repr, missing))}, which "
            f"{'is' if len(missing) == 1 else 'are'} not given. Needed keys: {', '.join(required(cut))}"
        )
    for key, value in given.items():
        _check_dimensions(key, value, example_of(key))
    count = size_of(given)
    shapes = {key: _scaled(example, given, example_of) for key, example in made.items() if example is not None}
    return {**given, **{key: zeros(example, count) for key, example in shapes.items()}}


def _check_dimensions(key: str, value: Any, example: Example | None) -> None:
    if not isinstance(value, Tensor) or example is None or not example.dtype:
        return
    if value.dim() != len(example.shape) + 1:
        expected = ", ".join(["B", *map(str, example.shape)])
        raise DataError(f"{key}: expected a batch such as ({expected}), got {tuple(value.shape)}")
    _check_classes(key, value, example)


def _check_classes(key: str, value: Tensor, example: Example) -> None:
    if example.classes is None:
        return
    wrong = (value < 0) | (value >= example.classes) | (value != value.floor())
    absent = sorted(example.absent) if isinstance(example, ConditionExample) else []
    for number in absent:
        wrong &= value != number
    if wrong.any():
        expected = " or ".join([f"0 to {example.classes - 1}", *(f"{number:g} for none" for number in absent)])
        raise DataError(f"{key}: expected {expected}, got {value[wrong][0].item():g}")


def required(cut: Cut) -> list[str]:
    """The keys whose values must be given to apply a cut."""
    return [key for key in cut.needs if key not in cut.of_shape]


def zeros(example: Example, count: int) -> Tensor:
    """Samples of zeros."""
    return torch.zeros(count, *example.shape, dtype=getattr(torch, example.dtype))


def _made(cut: Cut, key: str, count: int, example: Example | None) -> Tensor | None:
    """Labels, or zeros of which only the shape is read. None: the values cannot be made."""
    if example is not None and example.classes is not None:
        return torch.arange(count) % example.classes
    return zeros(example, count) if example is not None and example.dtype and key in cut.of_shape else None


def _scaled(example: Example, given: Mapping[str, Any], example_of: ExampleOf) -> Example:
    for key, value in given.items():
        other = example_of(key)
        if isinstance(value, Tensor) and other is not None and len(other.shape) == len(example.shape) > 1:
            sizes = zip(example.shape[1:], other.shape[1:], value.shape[2:], strict=False)
            scaled = tuple(size * now // max(then, 1) for size, then, now in sizes)
            return Example((example.shape[0], *scaled), example.dtype)
    return example


def _spread(key: str, value: Any, count: int, example: Example | None) -> Any:
    """A value for each sample."""
    if example is None or not example.dtype:
        if isinstance(value, str):
            return [value] * count
        if isinstance(value, Sequence) and value and not isinstance(value[0], int | float):
            return [value[index % len(value)] for index in range(count)]
    tensor = _as_tensor(key, value, example)
    if tensor.dim() == (0 if example is None else len(example.shape)):
        return tensor.expand(count, *tensor.shape)
    return tensor[torch.arange(count) % len(tensor)]


def _as_tensor(key: str, value: Any, example: Example | None) -> Tensor:
    """A value, or one for each sample, of the data type of the key."""
    try:
        tensor = torch.as_tensor(value)
    except (TypeError, ValueError, RuntimeError):
        raise DataError(f"{key}: expected numbers, got {value!r}") from None
    if not tensor.numel():
        raise DataError(f"{key}: expected at least one value, got {value!r}")
    if example is None or not example.dtype:
        return tensor
    if tensor.dim() - len(example.shape) not in (0, 1):
        raise DataError(f"{key}: expected the shape {example.shape} for a sample, got {tuple(tensor.shape)}")
    _check_classes(key, tensor, example)
    return tensor.to(getattr(torch, example.dtype))


def _cannot_make(cut: Cut, missing: Sequence[str], example_of: ExampleOf, folder: Path) -> str:
    subject, is_one = f"{_listed(cut.keys)} of {cut.flow.path}", len(cut.keys) == 1
    unknown = [key for key in missing if key in cut.of_shape and example_of(key) is None]
    if unknown:
        return (
            f"{subject} {'needs' if is_one else 'need'} the shape of {_listed(unknown)}, and the run folder has no "
            f"data_examples.json that says it. Fix: give a value of its shape in Python"
        )
    fix, example = "give them", example_of(missing[0])
    if len(missing) == 1 and (example is None or len(example.shape) in FILED_DIMS):
        run = shlex.quote(str(folder))
        fix = f"write `artschool apply {run} FILES -o DIR --output-key {cut.keys[0]}`, or give it"
    elif len(missing) == 1:
        fix = f"call `artschool.open(RUN).apply({{{missing[0]!r}: batch}}, {cut.keys[0]!r})` in Python"
    return (
        f"{subject} {'is' if is_one else 'are'} computed from the values of {_listed(missing)}, which cannot be made "
        f"up. Fix: {fix}"
    )


def _listed(keys: Sequence[str]) -> str:
    *others, last = map(repr, keys)
    return f"{', '.join(others)} and {last}" if others else last
