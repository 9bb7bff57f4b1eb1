"""How many bytes are in use, by kind, while operations run on tensors with or without values."""

from __future__ import annotations

import weakref
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Self

import torch
from torch import Tensor
from torch.utils._python_dispatch import (
    TorchDispatchMode,
    is_traceable_wrapper_subclass,
    is_traceable_wrapper_subclass_type,
)
from torch.utils._pytree import tree_leaves

from artschool.engine.run import Run
from artschool.engine.train_step import TrainStep
from artschool.engine.update import Update

PARAMETERS, BUFFERS, AVERAGES, OPTIMIZER = "parameters", "buffers", "averages", "optimizer state"
GRADIENTS, ACTIVATIONS = "gradients", "activations"
OFFLOADED = "memory of the CPU"


@dataclass
class Memory:
    """Bytes that training takes on its device, in one process.

    Attributes:
        lasting: Bytes in use all the time, by kind: parameters, buffers, averages, optimizer state.
        steps: Further bytes in use at the peak of each step, by kind: gradients, activations.
        offloaded: Bytes of optimizer state and averages in the memory of the CPU.
    """

    lasting: Counter[str] = field(default_factory=Counter)
    steps: dict[str, Counter[str]] = field(default_factory=dict)
    offloaded: int = 0

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
            live.mark(ema.offloaded.hosts if ema.offloaded is not None else (), OFFLOADED)
        self.lasting = Counter({kind: live.live[kind] for kind in (PARAMETERS, BUFFERS, AVERAGES, OPTIMIZER)})
        self.offloaded = live.live[OFFLOADED]

    def of_step(self, step: TrainStep, live: LiveBytes) -> None:
        """Record the peak of a step that has run, if it is the highest so far."""
        if step.update is not None:
            state = tree_leaves(list(step.update.optimizer.state.values()))
            live.mark([value for value in state if isinstance(value, Tensor)], OPTIMIZER)
            offloaded = step.update.scheduled.offloaded
            live.mark(offloaded.hosts if offloaded is not None else (), OFFLOADED)
        for peak in live.peaks:
            self.add_peak(step.graph.name, Counter({kind: peak.bytes[kind] for kind in (GRADIENTS, ACTIVATIONS)}))

    def add_peak(self, step: str, peak: Counter[str]) -> None:
        """Record a peak of a step, if it is the highest so far."""
        known = self.steps.setdefault(step, peak)
        if peak.total() > known.total():
            self.steps[step] = peak


class LiveBytes(TorchDispatchMode):  # type: ignore[no-untyped-call]  # torch
    """Counts the bytes of storages that operations return, until the storages are freed.

    Memory that a kernel allocates and frees internally is not counted.

    Args:
        granularity: A storage takes a multiple of so many bytes.

    Attributes:
        live: Bytes in use by kind. New tensors are activations until they are marked as another kind.
        peaks: The peak before the first update since `start`, then that of each update. In a first update, the
            new state of its optimizer is in use, but `mark` can still remove it from the peak.
    """

    def __init__(self, granularity: int = 1) -> None:
        super().__init__()  # type: ignore[no-untyped-call]  # torch
        self._granularity = granularity
        self.live: Counter[str] = Counter()
        self.peaks: list[_Peak] = [_Peak()]
        self._known: dict[int, _Storage] = {}
        self._clock = 0
        self._total = 0

    def __torch_dispatch__(
        self,
        func: Callable[..., Any],
        types: Sequence[type],
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        if any(map(is_traceable_wrapper_subclass_type, types)):
            return NotImplemented  # A sharded tensor, whose own operations follow.
        result = func(*args, **(kwargs or {}))
        for value in [result] if isinstance(result, Tensor) else tree_leaves(result):
            if isinstance(value, Tensor) and _has_storage(value):
                self._add(value.untyped_storage())
        return result

    def __enter__(self) -> Self:
        # Sharding frees memory by giving storages another size, which is not an operation.
        storages: Any = torch.UntypedStorage
        resize = self._resize = storages.resize_

        def resize_and_count(storage: torch.UntypedStorage, size: int) -> Any:
            result = resize(storage, size)
            self._resized(storage)
            return result

        storages.resize_ = resize_and_count
        super().__enter__()  # type: ignore[no-untyped-call]  # torch
        return self

    def __exit__(self, *error: object) -> None:
        storages: Any = torch.UntypedStorage
        storages.resize_ = self._resize
        super().__exit__(*error)  # type: ignore[no-untyped-call]  # torch

    def start(self) -> None:
        """Start to look for the peaks of a step."""
        self.peaks = []
        self._begin_peak()

    @contextmanager
    def watched_updates(self, updates: Iterable[Update]) -> Iterator[None]:
        """Mark the gradients of updates as such, and look for their peaks, inside the context."""

        def watch(update: Update) -> Callable[..., None]:
            def begin(*_: Any) -> None:
                self.mark(update.scheduled.gradients(), GRADIENTS)
                self._begin_peak()

            return begin

        handles = [update.optimizer.register_step_pre_hook(watch(update)) for update in updates]
        try:
            yield
        finally:
            for handle in handles:
                handle.remove()

    def mark(self, tensors: Iterable[Tensor], kind: str) -> None:
        """Set the kind of tensors, at the peaks too if they were in use then."""
        for storage in _storages(tensors):
            self._add(storage)
            known = self._known[id(storage)]
            at_peaks = [peak.bytes for peak in self.peaks if known.since <= peak.time]
            for counts in (self.live, *at_peaks):
                counts[known.kind] -= known.size
                counts[kind] += known.size
            known.kind = kind

    def _add(self, storage: torch.UntypedStorage) -> None:
        key = id(storage)
        if key in self._known:
            return
        self._known[key] = _Storage(weakref.ref(storage, lambda _: self._remove(key)), ACTIVATIONS)
        self._resized(storage)

    def _resized(self, storage: torch.UntypedStorage) -> None:
        """Count a storage that is new, or known and has another size."""
        known = self._known.get(id(storage))
        if known is None:
            return
        size = -(-storage.nbytes() // self._granularity) * self._granularity
        self.live[known.kind] += size - known.size
        self._total += size - known.size
        self._clock += 1
        known.size, known.since = size, self._clock
        if self._total > self.peaks[-1].total:
            self.peaks[-1] = self._now()

    def _begin_peak(self) -> None:
        self.peaks.append(self._now())

    def _now(self) -> _Peak:
        return _Peak(Counter(self.live), self._total, self._clock)

    def _remove(self, key: int) -> None:
        known = self._known.pop(key)
        self.live[known.kind] -= known.size
        self._total -= known.size


@dataclass
class _Peak:
    """The bytes in use at one time, by kind and in all."""

    bytes: Counter[str] = field(default_factory=Counter)
    total: int = 0
    time: int = 0


@dataclass
class _Storage:
    """A storage in use. `since` is the time from which it has its size."""

    reference: weakref.ref[Any]
    kind: str
    size: int = 0
    since: int = 0


def _storages(tensors: Iterable[Tensor]) -> Iterator[torch.UntypedStorage]:
    """The memory of tensors: of one that is sharded, that of its own part."""
    for tensor in tensors:
        if is_traceable_wrapper_subclass(tensor):
            parts = [getattr(tensor, name) for name in tensor.__tensor_flatten__()[0]]
            yield from _storages(part for part in parts if isinstance(part, Tensor))
        elif _has_storage(tensor):
            yield tensor.untyped_storage()


def _has_storage(tensor: Tensor) -> bool:
    """Whether a tensor has a storage; a sparse tensor consists of other tensors."""
    return tensor.layout is torch.strided
