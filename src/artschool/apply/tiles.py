"""Applies a function to a large input in overlapping tiles, whose results are blended where they overlap.

A tile is cut from the input with some of its surroundings. Near its inner edges, where the function misses what lies
beyond, its result has no weight. Next to that, its weight rises from 0 to 1 while that of its neighbor falls, so that
both always add up to 1. The result equals that of the whole input wherever the function looks no farther than the part
without weight, and has no steps elsewhere.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import pairwise

import torch
from torch import Tensor

from artschool.apply.sizes import Function, Sizes
from artschool.errors import ConfigError


@dataclass(frozen=True)
class Tiling:
    """How inputs are divided.

    Attributes:
        tile: Size of a tile in each dimension, with its surroundings. None: inputs are not divided.
        overlap: What a tile reads beyond its own area, on each side.
        batch: Number of tiles that are computed at once.

    Raises:
        ConfigError: A tile is not larger than what it reads beyond its area.
    """

    tile: int | None = None
    overlap: int = 16
    batch: int = 1

    def __post_init__(self) -> None:
        if self.tile is not None and self.tile <= 2 * self.overlap:
            raise ConfigError(
                f"--tile {self.tile} --overlap {self.overlap}: expected a tile of more than twice the overlap"
            )


WHOLE = Tiling()


@dataclass(frozen=True)
class Division:
    """Windows of one size along a dimension.

    Attributes:
        starts: Where the windows start, ascending.
        window: Size of the windows.
        factor: Size of the result in units of that of the input.
    """

    starts: Sequence[int]
    window: int
    factor: Fraction

    def weights(self) -> list[Tensor]:
        """The weight of the result of each window, (window * factor,). Those at one place add up to 1."""
        size = int((self.starts[-1] + self.window) * self.factor)
        places = (torch.arange(size, dtype=torch.float64) + 0.5) / float(self.factor)
        inner = [self._rise(places, right, left + self.window) for left, right in pairwise(self.starts)]
        rises = [torch.ones(size), *inner, torch.zeros(size)]
        length = int(self.window * self.factor)
        firsts = [int(start * self.factor) for start in self.starts]
        shares = zip(firsts, pairwise(rises), strict=True)
        return [(rise - next_rise)[first : first + length].float() for first, (rise, next_rise) in shares]

    @staticmethod
    def _rise(places: Tensor, start: int, end: int) -> Tensor:
        """From 0 to 1 over the middle half of what two windows share, along half a period of a cosine."""
        quarter = (end - start) / 4
        if quarter == 0:
            return (places >= start).double()
        return 0.5 - 0.5 * torch.cos(math.pi * ((places - start - quarter) / (2 * quarter)).clamp(0, 1))


def divide(length: int, tile: int, overlap: int, multiple: int, factor: Fraction) -> Division:
    """Windows along a dimension, spread evenly, each of which shares at least twice the overlap with the next.

    Args:
        length: A multiple of `multiple`, as are `tile` and the starts of the windows.
    """
    if length <= tile:
        return Division([0], length, factor)
    step = max((tile - 2 * overlap) // multiple, 1) * multiple
    count = math.ceil((length - tile) / step)
    return Division(
        [index * (length - tile) // (count * multiple) * multiple for index in range(count + 1)], tile, factor
    )


def apply_in_tiles(function: Function, values: Tensor, sizes: Sizes, tiling: Tiling) -> Tensor:
    """Apply a function to an input of any size.

    Args:
        values: (B, C, ...). Sizes that the function does not accept are reflected at their ends, and the result is cut.

    Returns:
        (B, C', ...), on the CPU, with sizes that are larger by the factor.
    """
    size = tuple(values.shape[2:])
    fitting = sizes.fitting(size)
    divisions = [_division(sizes, dim, length, tiling) for dim, length in enumerate(fitting)]
    result = _blended(function, reflected(values, fitting), divisions, 2, tiling.batch)
    for dim, length in enumerate(sizes.of_result(size), start=2):
        result = result.narrow(dim, 0, length)
    return result


def _division(sizes: Sizes, dim: int, length: int, tiling: Tiling) -> Division:
    factor, multiple = sizes.factor[dim], sizes.multiple[dim]
    if sizes.is_fixed:
        tile = sizes.size[dim]
        return divide(length, tile, min(tiling.overlap, tile // 4), factor.denominator, factor)
    tile = length if tiling.tile is None else max(tiling.tile // multiple, 1) * multiple
    return divide(length, tile, tiling.overlap, multiple, factor)


def _blended(function: Function, values: Tensor, divisions: Sequence[Division], dim: int, batch: int) -> Tensor:
    """Blend the results of windows along a dimension, each of which is blended along the next one."""
    division, rest = divisions[0], divisions[1:]
    weights, result = division.weights(), torch.empty(0)
    for first in range(0, len(weights), 1 if rest else batch):
        group = slice(first, first + (1 if rest else batch))
        starts = division.starts[group]
        windows = torch.cat([values.narrow(dim, start, division.window) for start in starts])
        parts = _blended(function, windows, rest, dim + 1, batch) if rest else function(windows).float().cpu()
        if len(weights) == 1:
            return parts
        for start, weight, part in zip(starts, weights[group], parts.split(len(values)), strict=True):
            if not result.numel():
                shape = list(part.shape)
                shape[dim] = int((division.starts[-1] + division.window) * division.factor)
                result = part.new_zeros(shape)
            place = result.narrow(dim, int(start * division.factor), part.shape[dim])
            place.add_(part * weight.reshape(-1, *[1] * (part.dim() - dim - 1)))
    return result


def reflected(values: Tensor, size: Sequence[int]) -> Tensor:
    """Extend (B, C, ...) to a size, at the end of each dimension, by reflections without the last value."""
    for dim, length in enumerate(size, start=2):
        old = values.shape[dim]
        if length > old:
            indices = torch.arange(length) % max(2 * (old - 1), 1)
            values = values.index_select(dim, torch.where(indices < old, indices, 2 * (old - 1) - indices))
    return values
