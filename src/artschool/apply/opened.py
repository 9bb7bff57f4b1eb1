"""From a model to a function that can be applied to files."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from torch import Tensor

from artschool.apply.applied import Applied
from artschool.apply.sizes import Function, Sizes, find_sizes
from artschool.apply.tiles import WHOLE, Tiling
from artschool.errors import ConfigError, describe
from artschool.registry.ranges import Range

UNIT: Range = (0.0, 1.0)
GUESSED = ((3, 64, 64), (1, 64, 64))
"""Shapes that are tried where the shape of an input is not known."""
FILED_DIMS = (1, 2, 3)
"""Numbers of dimensions of samples that files have: sound (T,) or (C, T), images (C, H, W)."""


class HasShape(Protocol):
    """What is known of the values of a key."""

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of one sample."""


class Opened(Protocol):
    """What computes keys from data, however it was opened. `artschool.Model` does."""

    @property
    def examples(self) -> Mapping[str, HasShape]:
        """What is known of the keys of data."""

    @property
    def default_outputs(self) -> Sequence[str]:
        """The keys that are computed if none is named."""

    def inputs(self, *keys: str) -> Sequence[str]:
        """The keys whose values are needed to compute some keys."""

    def range_of(self, key: str) -> Range | None:
        """The values of black and white of a key. None: not known."""

    def apply(
        self, inputs: Mapping[str, Any], *keys: str, seed: int = 0, batch_size: int | None = None
    ) -> Mapping[str, Any]:
        """Compute keys from batches by key."""


def applied_from(
    model: Opened, output: str | None = None, given: str | None = None, tiling: Tiling = WHOLE, *, seed: int = 0
) -> Applied:
    """The function of a model from one key to another.

    Its sizes are found by calling it with zeros.

    Args:
        output: The key to compute. None: the first one that a user probably wants.
        given: The key that is read from files. None: the only one that is needed.
        seed: Seed of the random numbers, if there are any: the same ones for each image and tile.

    Raises:
        ConfigError: Not just one key is needed, or its values are neither images nor sound.
    """
    output = model.default_outputs[0] if output is None else output
    given = _only_input(model, output) if given is None else given
    example = model.examples.get(given)
    shapes = GUESSED if example is None or not example.shape else (tuple(example.shape),)
    if len(shapes[0]) not in FILED_DIMS:
        raise ConfigError(
            f"{given!r} has samples of shape {shapes[0]}. Expected images (C, H, W) or sound (T,) or (C, T). "
            f"Fix: call `artschool.open(RUN).apply({{{given!r}: batch}}, {output!r})` in Python"
        )
    flat = len(shapes[0]) == 1

    def function(batch: Tensor) -> Tensor:
        values = batch.squeeze(1) if flat else batch
        result: Tensor = model.apply({given: values}, output, seed=seed, batch_size=len(batch))[output]
        return result.unsqueeze(1) if flat and result.dim() == 2 else result

    black_and_white = model.range_of(given) or UNIT
    is_sound = len(shapes[0]) < 3
    ranges = (UNIT, UNIT) if is_sound else (black_and_white, model.range_of(output) or black_and_white)
    shape, sizes = _first_accepted(function, [(1, *shape) if flat else shape for shape in shapes])
    return Applied(output, function, shape[0], len(shape) - 1, sizes, tiling, *ranges)


def _first_accepted(function: Function, shapes: Sequence[tuple[int, ...]]) -> tuple[tuple[int, ...], Sizes | None]:
    """The first shape that a function accepts, and its sizes."""
    problem = ""
    for shape in shapes:
        try:
            return shape, find_sizes(function, shape)
        except (RuntimeError, ValueError) as error:
            problem = describe(error)
    tried = " or ".join(map(str, shapes))
    raise ConfigError(f"the networks accept no input of shape {tried}: {problem}. Fix: choose another --input-key")


def _only_input(model: Opened, output: str) -> str:
    needed = model.inputs(output)
    if len(needed) == 1:
        return needed[0]
    if not needed:
        raise ConfigError(
            f"{output!r} is not computed from data. Fix: use `artschool sample`, or choose another --output-key"
        )
    raise ConfigError(
        f"{output!r} is computed from {', '.join(map(repr, needed))}, but files give one of them. "
        "Fix: choose another --output-key, or an --input-key from which alone it can be computed"
    )
