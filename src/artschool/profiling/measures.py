"""Measures of parts: time by the clock of the host or of the device, and operations, FLOPs and memory."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, nullcontext
from itertools import pairwise
from typing import Any, NamedTuple, Protocol, Self

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode, is_traceable_wrapper_subclass_type
from torch.utils._pytree import tree_leaves
from torch.utils.flop_counter import flop_registry

from artschool.engine.run import Run
from artschool.profiling.parts import Measure, Part
from artschool.trace.memory import OPTIMIZER, LiveBytes, Memory


class Clock(Measure, Protocol):
    """Measures time."""

    def finish(self, marks: Sequence[Any]) -> list[float]:
        """Add everything that is outstanding to its part. Returns the seconds between successive moments."""


class HostClock:
    """Time on the host, for devices whose operations are finished when their call returns."""

    def mark(self) -> float:
        """Seconds."""
        return time.perf_counter()

    def add(self, part: Part, before: float, after: float) -> None:
        """Add the time to a part."""
        part.own_seconds += after - before

    def finish(self, marks: Sequence[float]) -> list[float]:
        """Nothing is outstanding."""
        return [after - before for before, after in pairwise(marks)]


class CudaClock:
    """Time on a CUDA device: when its stream reaches a moment. Waits for the device only in `finish`.

    A part that keeps only the host busy takes the time during which the device has nothing else to do.
    """

    def __init__(self) -> None:
        self._spans: list[tuple[Part, torch.cuda.Event, torch.cuda.Event]] = []

    def mark(self) -> torch.cuda.Event:
        """An event of the current stream."""
        event = torch.cuda.Event(enable_timing=True)  # type: ignore[no-untyped-call]  # torch
        event.record()
        return event

    def add(self, part: Part, before: torch.cuda.Event, after: torch.cuda.Event) -> None:
        """Remember the events, which the device has not reached yet."""
        self._spans.append((part, before, after))

    def finish(self, marks: Sequence[torch.cuda.Event]) -> list[float]:
        """Wait for the device, and add the times to the parts."""
        torch.cuda.synchronize()
        for part, before, after in self._spans:
            part.own_seconds += before.elapsed_time(after) / 1000
        self._spans.clear()
        return [before.elapsed_time(after) / 1000 for before, after in pairwise(marks)]


class Counts(NamedTuple):
    """What has been counted until a moment; `peak` since the moment before."""

    flops: int
    operations: int
    peak: int


class Counter:
    """Counts FLOPs, operations and bytes in use while it is entered. Slow, so time is measured in other iterations.

    FLOPs are those of matrix products, convolutions and attention; a multiplication and an addition are two. Compiled
    networks run without their compiled code.

    Memory is that of CUDA's allocator, or on other devices the bytes of tensors. What an operation allocates and frees
    itself is then not counted.
    """

    def __init__(self, run: Run) -> None:
        self._device = run.device
        self._operations = _Operations()
        self._live: LiveBytes | None = None if run.device.type == "cuda" else LiveBytes()
        self._stack = ExitStack()
        if self._live is not None:
            Memory().of_run(run, self._live)
            states = (step.update.optimizer.state for step in run.steps if step.update is not None)
            leaves = (leaf for state in states for leaf in tree_leaves(list(state.values())))
            self._live.mark((leaf for leaf in leaves if isinstance(leaf, Tensor)), OPTIMIZER)

    def __enter__(self) -> Self:
        for mode in (_eager(), self._operations, self._live or nullcontext()):
            self._stack.enter_context(mode)
        self._peak()
        return self

    def __exit__(self, *error: object) -> None:
        self._stack.close()

    def mark(self) -> Counts:
        """What has been counted so far."""
        return Counts(self._operations.flops, self._operations.count, self._peak())

    def add(self, part: Part, before: Counts, after: Counts) -> None:
        """Add the differences to a part, and raise its peak and those of the parts around it."""
        part.own_flops += after.flops - before.flops
        part.own_operations += after.operations - before.operations
        around: Part | None = part
        while around is not None:
            around.peak = max(around.peak, after.peak)
            around = around.parent

    def _peak(self) -> int:
        """The largest number of bytes in use since the last call."""
        if self._live is None:
            peak = torch.cuda.max_memory_allocated(self._device)
            torch.cuda.reset_peak_memory_stats(self._device)
            return peak
        peak = max(peak.total for peak in self._live.peaks)
        self._live.start()
        return peak


class _Operations(TorchDispatchMode):  # type: ignore[no-untyped-call]  # torch
    """Counts operations that compute something, which a view does not, and their FLOPs.

    torch's own counter of FLOPs also follows modules, with hooks that fail in a gradient penalty.
    """

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]  # torch
        self.count = 0
        self.flops = 0

    def __torch_dispatch__(
        self,
        func: Any,
        types: Sequence[type],
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        if any(map(is_traceable_wrapper_subclass_type, types)):
            return NotImplemented  # A sharded tensor, whose own operations follow.
        result = func(*args, **(kwargs or {}))
        formula = flop_registry.get(getattr(func, "overloadpacket", None))
        self.flops += formula(*args, **(kwargs or {}), out_val=result) if formula is not None else 0
        self.count += not getattr(func, "is_view", False)
        return result


def _eager() -> AbstractContextManager[Any]:
    """Run compiled functions without their compiled code, which hides its operations."""
    if "torch._dynamo" not in sys.modules:
        return nullcontext()
    stance: Callable[[str], AbstractContextManager[Any]] = torch.compiler.set_stance
    return stance("force_eager")
