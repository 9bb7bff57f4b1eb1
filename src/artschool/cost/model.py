"""The time of operations and messages on a GPU: a model with few constants.

An operation takes the longer of two times: that of its FLOPs at a fraction of the peak rate, and that of the bytes
that it reads and writes at a fraction of the bandwidth. All operations of a step together take at least the time in
which the host issues them. Messages travel around a ring. Those that are sent while gradients are computed, and those
that gather sharded parameters, hide behind the operations of the same pass, except for one message. Offloaded state of
optimizers comes from the CPU and goes back at the same time, and nothing hides it; copies of averages are hidden.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from artschool.cost.hardware import Gpu
from artschool.trace.work import Message, Operation, Work

OF_PEAK = 0.5
"""Fraction of the peak FLOP/s that matrix products and convolutions reach."""
OF_BANDWIDTH = 0.75
"""Fraction of the memory bandwidth that operations reach."""
OF_LINK = 0.75
"""Fraction of the bandwidth between GPUs, and to the CPU, that messages and copies reach."""
SECONDS_PER_OPERATION = 6e-6
"""Time in which the host issues an operation, without compilation."""
SECONDS_PER_MESSAGE = 20e-6
"""Time that a message takes in addition to that of its bytes."""

MATMULS, MEMORY, LAUNCHES, EXCHANGE = "matrix products", "memory bandwidth", "launches of operations", "exchange"
OFFLOAD = "copies of offloaded state"


@dataclass
class Seconds:
    """The time of a step or an iteration.

    Attributes:
        parts: Seconds by what they are spent on. Their sum is the time of the step.
        hidden: Seconds of messages that hide behind operations, which `parts` do not contain.
        at_peak: Seconds in which the GPU would compute the FLOPs at its peak rate.
    """

    parts: defaultdict[str, float] = field(default_factory=lambda: defaultdict(float))
    hidden: float = 0.0
    at_peak: float = 0.0

    @property
    def total(self) -> float:
        """Seconds in all."""
        return sum(self.parts.values())

    @property
    def utilization(self) -> float:
        """The fraction of the peak FLOP/s that is reached, 0 to 1."""
        return self.at_peak / self.total if self.total else 0.0

    @property
    def bottleneck(self) -> str:
        """What most of the time is spent on."""
        return max(self.parts, key=lambda part: self.parts[part])

    def add(self, other: Seconds, times: float = 1.0) -> None:
        """Add the time of something else."""
        for part, seconds in other.parts.items():
            self.parts[part] += seconds * times
        self.hidden += other.hidden * times
        self.at_peak += other.at_peak * times


def seconds_of(work: Work, gpu: Gpu) -> Seconds:
    """The time that the work of a step takes."""
    parts: defaultdict[str, float] = defaultdict(float)
    passes = {False: 0.0, True: 0.0}
    at_peak = 0.0
    for operation, count in work.operations.items():
        kind, seconds = _seconds_of_operation(operation, gpu)
        parts[kind] += seconds * count
        passes[operation.backward] += seconds * count
        at_peak += operation.flops / gpu.rate(operation.dtype) * count
    device, host = sum(passes.values()), work.operations.total() * SECONDS_PER_OPERATION
    parts[LAUNCHES] = max(0.0, host - device)
    stretch = max(1.0, host / device) if device else 1.0
    exposed, hidden = _exchange(work.messages, gpu, {key: value * stretch for key, value in passes.items()})
    parts[EXCHANGE] = exposed
    if work.offloaded:
        parts[OFFLOAD] = work.offloaded / (gpu.host * OF_LINK)
    return Seconds(parts, hidden, at_peak)


def _seconds_of_operation(operation: Operation, gpu: Gpu) -> tuple[str, float]:
    computing = operation.flops / (gpu.rate(operation.dtype) * OF_PEAK)
    moving = operation.nbytes / (gpu.bandwidth * OF_BANDWIDTH)
    return (MATMULS, computing) if computing > moving else (MEMORY, moving)


def _exchange(messages: Mapping[Message, int], gpu: Gpu, passes: Mapping[bool, float]) -> tuple[float, float]:
    """The seconds of messages that delay the step, and those that hide behind each pass of operations."""
    exposed, hidden = 0.0, 0.0
    for backward, computing in passes.items():
        overlapping = [(m, n) for m, n in messages.items() if m.backward == backward and can_hide(m)]
        total = _seconds_of_messages(overlapping, gpu)
        count = sum(number for _, number in overlapping)
        behind = min(computing, total - total / count) if count else 0.0
        exposed, hidden = exposed + total - behind, hidden + behind
    return exposed + _seconds_of_messages([(m, n) for m, n in messages.items() if not can_hide(m)], gpu), hidden


def can_hide(message: Message) -> bool:
    """Whether operations can run while a message is sent."""
    return message.backward or message.kind == "all-gather"


def _seconds_of_messages(messages: Iterable[tuple[Message, int]], gpu: Gpu) -> float:
    return sum(
        count * (message.sent / (gpu.link_of(message.ranks, message.stride) * OF_LINK) + SECONDS_PER_MESSAGE)
        for message, count in messages
    )
