"""How many bytes are in use, by kind, while operations run on tensors with or without values."""

from __future__ import annotations

import weakref
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from artschool.engine.run import Run
from artschool.engine.train_step import TrainStep

PARAMETERS, BUFFERS, AVERAGES, OPTIMIZER = "parameters", "buffers", "averages", "optimizer state"
GRADIENTS, ACTIVATIONS = "gradients", "activations"


@dataclass
class Memory:
    """Bytes that training takes on its device, in one process.

    Attributes:
        lasting: Bytes in use all the time, by kind: parameters, buffers, averages, optimizer state.
        steps: Further bytes in use at the peak of each step, by kind: gradients, activations.
    """

    lasting: Counter[str] = field(default_factory=Counter)
    steps: dict[str, Counter[str]] = field(default_factory=dict)

    @property
    def peak(self) -> int:
        """The largest number of bytes in use at once."""
        return self.lasting.total() + max((step.total() for step in self.steps.values()), default=0)

    def of_run(self, run: Run, live: LiveBytes) -> None:
        """Record what is in use between iterations."""
        for network in (*run.networks.values(), *run.modules.values()):
            live.mark(network.parameters(), PARAMETERS)
            live.mark(network.buffers(), BUFFERS)
        for ema in run.emas.values():
            live.mark([*ema.module.parameters(), *ema.module.buffers()], AVERAGES)
        self.lasting = Counter({kind: live.live[kind] for kind in (PARAMETERS, BUFFERS, AVERAGES, OPTIMIZER)})

    def of_step(self, step: TrainStep, live: LiveBytes) -> None:
        """Record the peak of a step that has run, if it is the highest so far."""
        if step.update is not None:
            state = tree_leaves(list(step.update.optimizer.state.values()))
            live.mark([value for value in state if isinstance(value, Tensor)], OPTIMIZER)
        peak = Counter({kind: live.peak[kind] for kind in (GRADIENTS, ACTIVATIONS)})
        known = self.steps.setdefault(step.graph.name, peak)
        if peak.total() > known.total():
            self.steps[step.graph.name] = peak


class LiveBytes(TorchDispatchMode):  # type: ignore[no-untyped-call]  # torch
    """Counts the bytes of storages that operations return, until the storages are freed.

    Memory that a kernel allocates and frees internally is not counted.

    Attributes:
        live: Bytes in use by kind. New tensors are activations until they are marked as another kind.
        peak: Bytes by kind at the moment since `start` when most were in use.
    """

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]  # torch
        self.live: Counter[str] = Counter()
        self.peak: Counter[str] = Counter()
        self._known: dict[int, tuple[weakref.ref[Any], int, str]] = {}
        self._total = 0
        self._peak_total = 0

    def __torch_dispatch__(
        self,
        func: Callable[..., Any],
        types: Sequence[type],
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        result = func(*args, **(kwargs or {}))
        for value in [result] if isinstance(result, Tensor) else tree_leaves(result):
            if isinstance(value, Tensor) and _has_storage(value):
                self._add(value)
        return result

    def start(self) -> None:
        """Start to look for the peak."""
        self._peak_total, self.peak = self._total, Counter(self.live)

    def mark(self, tensors: Iterable[Tensor], kind: str) -> None:
        """Set the kind of tensors."""
        for tensor in filter(_has_storage, tensors):
            self._add(tensor)
            key = id(tensor.untyped_storage())
            reference, size, before = self._known[key]
            self._known[key] = (reference, size, kind)
            self.live[before] -= size
            self.live[kind] += size

    def _add(self, tensor: Tensor) -> None:
        storage = tensor.untyped_storage()
        key = id(storage)
        if key in self._known:
            return
        size = storage.nbytes()
        self._known[key] = (weakref.ref(storage, lambda _: self._remove(key)), size, ACTIVATIONS)
        self.live[ACTIVATIONS] += size
        self._total += size
        if self._total > self._peak_total:
            self._peak_total, self.peak = self._total, Counter(self.live)

    def _remove(self, key: int) -> None:
        _, size, kind = self._known.pop(key)
        self.live[kind] -= size
        self._total -= size


def _has_storage(tensor: Tensor) -> bool:
    """Whether a tensor has a storage; a sparse tensor consists of other tensors."""
    return tensor.layout is torch.strided
