"""What a profile found."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from artschool.config.structure import Config
from artschool.faults import Place
from artschool.profiling.parts import ITERATION, Part


@dataclass(frozen=True)
class Machine:
    """The device, and what torch uses of it.

    Attributes:
        kind: `cpu`, `cuda`, ...
        name: Its name for people.
        num_cpus: Number of CPUs that this process may use.
        memory: Bytes of memory of the device. 0: unknown.
        has_tf32: Whether it multiplies faster in TF32.
        uses_tf32: Whether float32 products may use TF32.
        has_bf16: Whether it multiplies faster in bfloat16.
        peak_flops: FLOPs per second that it can reach in the precision of the run.
        source: Where `peak_flops` comes from.
    """

    kind: str
    name: str
    num_cpus: int = 1
    memory: int = 0
    has_tf32: bool = False
    uses_tf32: bool = False
    has_bf16: bool = False
    peak_flops: float = 0.0
    source: str = ""


@dataclass(frozen=True)
class Hint:
    """A suggested change.

    Attributes:
        place: The location in the file that it is about.
        path: The path of that location.
        message: What was measured, and why the change helps.
        change: The override to try, such as `data.train.workers=4`. "": no option would help.
    """

    place: Place
    path: str
    message: str
    change: str

    def __str__(self) -> str:
        return f"{self.place}: {self.path}: {self.message}" + (f". Fix: set {self.change}" if self.change else "")


@dataclass
class Profile:
    """The measurements of a run.

    Attributes:
        root: The iteration, with its parts.
        iterations: Number of timed iterations.
        warmup: Number of iterations before them.
        first: The first timed iteration.
        durations: Seconds of each timed iteration.
        num_processes: Number of processes that train together. Everything else is about this one.
        unfused: The steps whose optimizer is not fused.
        in_train_mode: The networks that nothing trains, but that are in train mode.
        has_convolutions: Whether a network has convolutions.
        inactive: The steps that are not active in any timed iteration.
        hints: What could be changed.
    """

    config: Config
    machine: Machine
    root: Part = field(default_factory=lambda: Part(ITERATION))
    iterations: int = 1
    warmup: int = 0
    first: int = 0
    durations: Sequence[float] = ()
    num_processes: int = 1
    unfused: Sequence[str] = ()
    in_train_mode: Sequence[str] = ()
    has_convolutions: bool = False
    inactive: Sequence[str] = ()
    hints: list[Hint] = field(default_factory=list)

    @property
    def seconds(self) -> float:
        """Mean time of an iteration."""
        return self.root.seconds / self.iterations

    def share(self, *parts: Part) -> float:
        """The share of parts in the time of all iterations, from 0 to 1."""
        return sum(part.seconds for part in parts) / self.root.seconds if self.root.seconds else 0.0

    @property
    def flops_per_second(self) -> float:
        """FLOPs of the counted iteration per second of the timed ones."""
        return self.root.flops / self.seconds if self.seconds else 0.0

    @property
    def utilization(self) -> float | None:
        """The model FLOPs utilization: the share of the FLOPs that the device can reach.

        None: they are unknown, or are less than those of the iteration. Then a gate lets the counted iteration compute
        more than the timed ones, or the machine was busy while its FLOPs were measured.
        """
        peak = self.machine.peak_flops
        return self.flops_per_second / peak if peak and self.flops_per_second <= peak else None

    def as_json(self) -> dict[str, Any]:
        """The profile as plain values. docs/profile.md documents the keys."""
        return {
            "device": self.machine.name,
            "processes": self.num_processes,
            "first_iteration": self.first,
            "iterations": self.iterations,
            "warmup": self.warmup,
            "seconds": self.seconds,
            "durations": list(self.durations),
            "flops": self.root.flops,
            "peak_flops_per_second": self.machine.peak_flops or None,
            "peak_source": self.machine.source or None,
            "utilization": self.utilization,
            "parts": self._part(self.root),
            "hints": [
                {"place": str(hint.place), "path": hint.path, "message": hint.message, "change": hint.change or None}
                for hint in self.hints
            ],
        }

    def _part(self, part: Part) -> dict[str, Any]:
        return {
            "name": part.name,
            "path": part.path or None,
            "place": str(part.place) if part.place is not None else None,
            "seconds": part.seconds / self.iterations,
            "own_seconds": part.own_seconds / self.iterations,
            "flops": part.flops,
            "operations": part.operations,
            "peak_bytes": part.peak or None,
            "parts": [self._part(inner) for inner in part.parts.values()],
        }
