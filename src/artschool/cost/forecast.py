"""Forecast of a run on GPUs: whether it fits, how long it takes, and what limits it."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping
from dataclasses import dataclass

from artschool.config.compiling import compiled_networks
from artschool.config.structure import Config
from artschool.cost.hardware import Gpu, find_gpu
from artschool.cost.model import Seconds, can_hide, seconds_of
from artschool.errors import ArtschoolError
from artschool.trace.fake import is_about_missing_values
from artschool.trace.first_batches import batch_size
from artschool.trace.measure import Measured, measure
from artschool.trace.memory import Memory
from artschool.trace.trace import trace
from artschool.trace.work import Work

USABLE = 0.9
"""Fraction of the memory of a GPU for tensors. The rest is for CUDA, workspaces of kernels and fragmentation."""


@dataclass
class Forecast:
    """What one of several processes takes on its GPU.

    Attributes:
        gpu: The GPU of each process.
        measured: Memory, operations and messages.
        regimes: The time of an iteration, by the first iteration of its regime.
        typical: The time of an iteration, in the mean over the run.
        steps: The same by step, and for the averages.
        flops: FLOPs of one process in an iteration, in the mean over the run.
        exchanged: Bytes that one process sends in an iteration by kind of message, in the mean over the run.
        hideable: Those of them that can hide behind operations.
        batch: The number of samples of a batch over all processes.
        largest_batch: The largest batch that fits; 0: none. None: any.
        measured_samples: The sizes of the two micro-batches that determine `largest_batch`.
        compiled: Whether the file compiles networks, which the model does not see.
    """

    gpu: Gpu
    measured: Measured
    regimes: dict[int, Seconds]
    typical: Seconds
    steps: dict[str, Seconds]
    flops: float
    exchanged: Mapping[str, float]
    hideable: float
    batch: int
    largest_batch: int | None
    measured_samples: tuple[int, int]
    compiled: bool = False

    @property
    def memory(self) -> int:
        """Bytes in use at the peak."""
        return self.measured.memory.peak

    @property
    def usable(self) -> int:
        """Bytes of the GPU that tensors can use."""
        return int(self.gpu.memory * USABLE)

    @property
    def fits(self) -> bool:
        """Whether training fits into the memory of the GPU."""
        return self.memory <= self.usable


def forecast(config: Config, gpu: str, processes: int = 1) -> Forecast:
    """Predict memory and time of a run on GPUs, without a GPU.

    Args:
        config: A checked file.
        gpu: The name of a GPU, such as `h100`.
        processes: The number of processes, each with its own GPU.

    Raises:
        ConfigError: The GPU is unknown, or the trace found faults.
        DataError: A batch cannot be loaded, or has fewer samples than there are processes.
    """
    found, train = find_gpu(gpu), config.sections.train
    if train.matmul_precision_on("cuda") not in ("high", "medium"):
        found = found.without_tf32()
    measured, larger = _measured(config, processes)
    regimes, typical, steps = dict[int, Seconds](), Seconds(), dict[str, Seconds]()
    flops, hideable, exchanged = 0.0, 0.0, defaultdict[str, float](float)
    iterations = sum(measured.regimes.values())
    for first, count in measured.regimes.items():
        regimes[first] = Seconds()
        for name, work in measured.work[first].items():
            share, seconds = count / iterations, seconds_of(work, found)
            regimes[first].add(seconds)
            typical.add(seconds, share)
            steps.setdefault(name, Seconds()).add(seconds, share)
            flops += work.flops * share
            for kind, nbytes in work.sent.items():
                exchanged[kind] += nbytes * share
            hideable += _hideable(work) * share
    return Forecast(
        gpu=found,
        measured=measured,
        regimes=regimes,
        typical=typical,
        steps=steps,
        flops=flops,
        exchanged=exchanged,
        hideable=hideable,
        batch=batch_size(config, "train"),
        largest_batch=_largest_batch(measured, larger, int(found.memory * USABLE)),
        measured_samples=(measured.samples, larger.samples),
        compiled=bool(compiled_networks(config)),
    )


def _measured(config: Config, processes: int) -> tuple[Measured, Measured]:
    """The measurements of the micro-batch of the file, and of one twice as large."""
    real = False
    try:
        one = measure(config, processes, cuda=True)
    except Exception as error:  # The code of a component can raise anything.
        real = trace(config, processes).real  # Raises faults that explain the error, unless only values were missing.
        if not real and is_about_missing_values(error):
            raise ArtschoolError(f"cannot predict {processes} processes: {error!r}, and there are no values") from error
        if not real:
            raise
        one = measure(config, processes, cuda=True, real=True)
    return one, measure(config, processes, samples=2 * one.samples, cuda=True, real=real)


def _hideable(work: Work) -> float:
    return sum(message.sent * count for message, count in work.messages.items() if can_hide(message))


def _largest_batch(one: Measured, two: Measured, usable: int) -> int | None:
    """The largest batch whose memory fits, by a line through the memory of two micro-batches for each step."""
    bounds = [
        _largest(one.samples, first, two.samples, second, usable)
        for first, second in zip(_peaks(one.memory), _peaks(two.memory), strict=True)
    ]
    known = [bound for bound in bounds if bound is not None]
    return min(known) * one.parts * one.processes if known else None


def _peaks(memory: Memory) -> list[int]:
    lasting = memory.lasting.total()
    return [lasting + memory.steps[name].total() for name in sorted(memory.steps)]


def _largest(samples: int, nbytes: int, more_samples: int, more_bytes: int, usable: int) -> int | None:
    slope = (more_bytes - nbytes) / (more_samples - samples)
    if slope <= 0:
        return None if nbytes <= usable else 0
    return max(0, int(samples + (usable - nbytes) / slope))


def memory_by_kind(memory: Memory) -> Mapping[str, int]:
    """Bytes at the peak of the step that takes most, by kind."""
    peak = max(memory.steps.values(), key=Counter.total, default=Counter[str]())
    return {kind: size for kind, size in (memory.lasting + peak).items() if size}
