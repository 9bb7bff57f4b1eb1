"""The first samples of an evaluation, kept to be shown. They are the same for every number of processes."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from torch import Tensor

from artschool import ranks


class Samples:
    """The values of some keys for the first samples of a data set.

    Attributes:
        by_key: The values of each sample, on the CPU, in the order of the data. Only the main process has them.
    """

    def __init__(self, keys: Collection[str], most: int, batch_size: int) -> None:
        self._keys, self._most = keys, most
        self._num_batches = -(-most // batch_size)
        self._batches: dict[int, dict[str, list[Any]]] = {}
        self.by_key: Mapping[str, list[Any]] = {}

    def add(self, batch: int, values: Mapping[str, Any]) -> None:
        """Keep what is needed of a batch, which has this number among those of all processes."""
        if batch < self._num_batches:
            self._batches[batch] = {key: self._rows(values[key]) for key in self._keys if key in values}

    def gather(self) -> None:
        """Collect the samples of all processes, and forget the batches."""
        parts = ranks.gather_on_main(self._batches)
        batches = {number: batch for part in parts for number, batch in part.items()}
        self.by_key = {
            key: [row for number in sorted(batches) for row in batches[number].get(key, ())][: self._most]
            for key in self._keys
        }
        self._batches = {}

    def _rows(self, value: Any) -> list[Any]:
        if isinstance(value, Tensor):
            # Not views: each would be sent with the memory of all, and keep it.
            return [row.clone() for row in value[: self._most].detach().cpu()] if value.dim() else []
        return list(value[: self._most]) if isinstance(value, list | tuple) else []
