"""Computes the keys of a cut, a batch at a time."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from typing import Any, NamedTuple

import torch
from torch import Tensor

from artschool.data.collate import micro_batches
from artschool.data.seeds import derive, forked_rng, seed_all
from artschool.data.to_device import to_device
from artschool.engine.eval_mode import with_state_kept
from artschool.engine.exits import CODE
from artschool.model.cut import Cut
from artschool.model.modules import Modules
from artschool.steps.state import State
from artschool.storage.processes import ended_if_forked

BATCH = 64
"""The most samples that are computed at once, unless a call says otherwise."""


class Batch(NamedTuple):
    """A computed batch.

    Attributes:
        size: Number of its samples.
        values: The wanted values by key.
        captions: For each sample, the label or text that it was computed from. Empty: from neither.
    """

    size: int
    values: Mapping[str, Any]
    captions: Sequence[str]


class Computation:
    """A cut with its inputs. Iterating computes a batch at a time, each with a seed of its own.

    Args:
        values: A value for each sample, by key.
        batch_size: The most samples of a batch. None: `BATCH`.
        device: The device of the results.

    Attributes:
        count: Number of samples.
    """

    def __init__(
        self,
        cut: Cut,
        values: Mapping[str, Any],
        modules: Modules,
        *,
        count: int,
        seed: int,
        batch_size: int | None,
        device: torch.device,
    ) -> None:
        self.cut, self.count = cut, count
        self._values, self._modules = values, modules
        self._seed, self._device = seed, device
        self._batches = -(-count // (batch_size or BATCH))

    def __iter__(self) -> Iterator[Batch]:
        device = self._modules.context.device
        with self._called() as call:
            for index, (values, size) in enumerate(micro_batches(self._values, self._batches)):
                with forked_rng(0, device):
                    seed_all(derive("sample", self._seed, index), device)
                    computed = call(to_device(values, device))
                results = {key: _moved(computed[key], self._device) for key in self.cut.keys}
                yield Batch(size, results, self._captions(values))

    def joined(self) -> dict[str, Any]:
        """The values of all batches by key."""
        with closing(iter(self)) as batches:  # type: ignore[type-var]  # a generator
            values = [batch.values for batch in batches]
        return {key: _joined([each[key] for each in values]) for key in self.cut.keys}

    @contextmanager
    def _called(self) -> Iterator[Callable[[Mapping[str, Any]], Mapping[str, Any]]]:
        bound = [self._modules.bound(injector, self.cut.flow.averages) for injector in self.cut.injectors]
        modules = list(dict.fromkeys(module for each in bound for module in each.modules))
        writers = {key: writer.path for key, writer in self.cut.flow.writers.items()}

        def call(values: Mapping[str, Any]) -> Mapping[str, Any]:
            state = _CutState(values, writers)
            with ended_if_forked(lambda: CODE), torch.no_grad(), with_state_kept(modules):
                for each in bound:
                    each.call(state)
            return state.values

        yield call

    def _captions(self, values: Mapping[str, Any]) -> list[str]:
        texts = [_texts(key, value) for key, value in values.items() if key not in self.cut.of_shape]
        return [", ".join(parts) for parts in zip(*filter(None, texts), strict=True)]


class _CutState(State):
    """The values of a cut. Of several injectors that write a key, one counts, and none if the key is given.

    Args:
        writers: The path of the injector that writes each key.
    """

    def __init__(self, given: Mapping[str, Any], writers: Mapping[str, str]) -> None:
        super().__init__(given, "the inputs")
        self._given, self._paths = given.keys(), writers

    def write(self, key: str, value: object, *, writer: str) -> None:
        """Add a value, if its writer counts."""
        if key not in self._given and self._paths.get(key) == writer:
            super().write(key, value, writer=writer)


def _texts(key: str, value: Any) -> list[str]:
    """A text for each sample, of labels and texts."""
    if isinstance(value, Tensor) and value.dim() == 1 and not value.is_floating_point():
        return [f"{key} {number}" for number in value.tolist()]
    return value if isinstance(value, list) and all(isinstance(each, str) for each in value) else []


def _moved(value: Any, device: torch.device) -> Any:
    return value.to(device) if isinstance(value, Tensor) else value


def _joined(values: list[Any]) -> Any:
    if len(values) == 1:
        return values[0]
    if isinstance(values[0], Tensor) and values[0].dim():
        return torch.cat(values)
    if isinstance(values[0], list):
        return [part for value in values for part in value]
    return values
