"""artschool beside tuned loops written by hand, on a GPU: speed, memory, kernels, synchronizations, saves, predictions.

    python benchmarks/gpu.py [--out gpu.json] [--rounds 12] [--chunk 10] [--limit 330]
    python benchmarks/gpu.py --device cpu --small --rounds 2 --chunk 2 --workers 0    # tries the script without a GPU

Trains a toy GAN, a class-conditional U-Net of 57 million parameters at 64 x 64 in bfloat16, and an ESRGAN pair. Each
runs eagerly and compiled, in turns with a loop of its own (`gpu_trainings.py`), in one process. `throughput` is the
median over the rounds of the loop's time divided by artschool's; `memory` is the peak of artschool divided by that of
the loop, each alone and warm. Prints a line for each measurement and writes all of them as one JSON file. No
measurement begins after `--limit` seconds; `left_out` in the file names those that did not. Eager ones come first.
"""

from __future__ import annotations

import argparse
import gc
import itertools
import json
import platform
import statistics
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from gpu_trainings import Hand, Training, trainings
from torch.autograd import DeviceType
from torch.profiler import ProfilerActivity, profile

import artschool
from artschool.cost.forecast import forecast
from artschool.engine import checkpoint
from artschool.engine.logger import Logger
from artschool.engine.run import Run
from artschool.engine.run_state import RunState
from artschool.engine.saving import settle
from artschool.profiling.machine import data_sheet
from artschool.read.read import check_file

GIB = 2**30
PROFILED = 3
"""Iterations in which kernels are counted."""


@dataclass(frozen=True)
class Settings:
    """The arguments of the command."""

    device: torch.device
    gpu: str
    rounds: int
    chunk: int

    @property
    def on_gpu(self) -> bool:
        """Whether there is memory to measure, and something to wait for."""
        return self.device.type == "cuda"

    def wait(self) -> None:
        """Wait for everything that was sent to the device."""
        if self.on_gpu:
            torch.cuda.synchronize()


class Pace(Logger):
    """Calls a function after each iteration."""

    def __init__(self, function: Callable[[int], None]) -> None:
        self._function = function

    def advance(self, run: RunState) -> None:
        """Call the function with the number of finished iterations."""
        self._function(run.iteration)


@contextmanager
def written(training: Training, settings: Settings, iterations: int, *, compiled: bool) -> Iterator[Path]:
    """The config file of a training, in a temporary folder."""
    with tempfile.TemporaryDirectory() as name:
        file = Path(name) / "training.yml"
        section = {
            "iterations": iterations, "precision": training.precision, "device": str(settings.device),
            "compile": compiled, "channels_last": settings.on_gpu, "cudnn_benchmark": True,
        }  # fmt: skip
        file.write_text(f"{training.file}train: {json.dumps(section)}\nlog: {{every: {settings.chunk}}}\n")
        yield file


@contextmanager
def loaded(training: Training, settings: Settings, iterations: int, *, compiled: bool) -> Iterator[Run]:
    """A run of a training, in a temporary folder."""
    with written(training, settings, iterations, compiled=compiled) as file:
        yield artschool.load(file, run_dir=file.parent / "run")


def hand_of(training: Training, settings: Settings, *, compiled: bool) -> Hand:
    """The loop of a training."""
    torch.manual_seed(0)
    return training.hand(training.data(), training.batch_size, settings.device, compiled=compiled)


class Kernels:
    """Counts the kernels that some iterations launch. On the CPU, counts operations of torch."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        activity = ProfilerActivity.CUDA if settings.on_gpu else ProfilerActivity.CPU
        self._profile = profile(activities=[activity], acc_events=True)

    def start(self) -> None:
        """Begin to count."""
        self._settings.wait()
        self._profile.start()

    def stop(self) -> float:
        """The number for each iteration since `start`, given that there were `PROFILED`."""
        self._settings.wait()
        self._profile.stop()
        events: list[Any] = list(self._profile.events())  # type: ignore[no-untyped-call]  # torch
        # A profile of CUDA also has what the host calls, such as `cudaLaunchKernel`, and ranges with a name.
        place = DeviceType.CUDA if self._settings.on_gpu else DeviceType.CPU
        copies = ("Memcpy", "Memset")
        kernels = [
            event
            for event in events
            if event.device_type == place and not event.is_user_annotation and not event.name.startswith(copies)
        ]
        return round(len(kernels) / PROFILED, 1)


def alone_by_hand(training: Training, settings: Settings, *, compiled: bool) -> dict[str, Any]:
    """Peak memory in bytes and kernels of an iteration of the loop."""
    hand = hand_of(training, settings, compiled=compiled)
    hand.run(settings.chunk)
    peak = _peak(settings, lambda: hand.run(settings.chunk))
    kernels = Kernels(settings)
    kernels.start()
    hand.run(PROFILED)
    return {"peak_bytes": peak, "kernels": kernels.stop()}


def _peak(settings: Settings, function: Callable[[], None]) -> int:
    if settings.on_gpu:
        torch.cuda.reset_peak_memory_stats()
    function()
    settings.wait()
    return torch.cuda.max_memory_allocated() if settings.on_gpu else 0


class Alone:
    """What artschool needs: measured chunk by chunk, after the first one, which warms up.

    The numbers of an iteration are logged after `advance`, so kernels and synchronizations are counted from the next
    one on, and until before the last one of the chunk.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._kernels = Kernels(settings)
        self._warnings: list[warnings.WarningMessage] = []
        self._catch = warnings.catch_warnings(record=True)
        self.found: dict[str, Any] = {}

    def advance(self, iteration: int) -> None:
        """Called after each iteration. Log points are at multiples of the chunk."""
        chunk, on_gpu = self._settings.chunk, self._settings.on_gpu
        if iteration == chunk and on_gpu:
            self._settings.wait()
            torch.cuda.reset_peak_memory_stats()
        elif iteration == 2 * chunk:
            self._settings.wait()
            self.found["peak_bytes"] = torch.cuda.max_memory_allocated() if on_gpu else 0
        elif iteration == 2 * chunk + 1:
            self._kernels.start()
        elif iteration == 2 * chunk + 1 + PROFILED:
            self.found["kernels"] = self._kernels.stop()
        elif iteration == 4 * chunk + 1 and on_gpu:
            # The list is empty now, and is filled later.
            self._warnings = caught if (caught := self._catch.__enter__()) is not None else []
            warnings.simplefilter("always")
            torch.cuda.set_sync_debug_mode("warn")
        elif iteration == 5 * chunk - 1 and on_gpu:
            torch.cuda.set_sync_debug_mode("default")
            self.found["synchronizations"] = sum("called a synchronizing" in str(one.message) for one in self._warnings)
            self._catch.__exit__(None, None, None)

    @property
    def iterations(self) -> int:
        """Number of iterations that it needs."""
        return 5 * self._settings.chunk + 1 + PROFILED


def alone(training: Training, settings: Settings, *, compiled: bool) -> dict[str, Any]:
    """Peak memory in bytes, kernels of an iteration, synchronizations between two log points, seconds of a save."""
    measured = Alone(settings)
    with loaded(training, settings, measured.iterations, compiled=compiled) as run:
        run.loggers = [*run.loggers, Pace(measured.advance)]
        run.train()
        return measured.found | _saves(run, settings)


def _saves(run: Run, settings: Settings) -> dict[str, Any]:
    """Seconds that training waits for a save that blocks, and for one in the background."""
    seconds = {}
    for name, background in (("save_seconds", False), ("save_seconds_in_background", True)):
        run.sections.checkpoint.background = background
        settings.wait()
        start = time.perf_counter()
        checkpoint.save(run)
        seconds[name] = round(time.perf_counter() - start, 4)
        settle(run)
    return seconds


def predicted(training: Training, settings: Settings) -> dict[str, Any]:
    """What `artschool plan --gpu` says about a training. It does not know `torch.compile`."""
    with written(training, settings, 1, compiled=False) as file:
        found = forecast(check_file(file), settings.gpu)
    return {"gpu": settings.gpu, "peak_bytes": found.memory, "ms": round(found.typical.total * 1000, 3)}


def in_turns(training: Training, settings: Settings, *, compiled: bool) -> dict[str, Any]:
    """The median ratio of throughput, and the median milliseconds of an iteration of both sides."""
    hand = hand_of(training, settings, compiled=compiled)
    hand.run(settings.chunk)
    times: list[tuple[float, float]] = []
    start = 0.0

    def advance(iteration: int) -> None:
        nonlocal start
        if iteration % settings.chunk:
            return
        settings.wait()
        middle = time.perf_counter()
        hand.run(settings.chunk)
        settings.wait()
        times.append((middle - start, time.perf_counter() - middle))
        start = time.perf_counter()

    with loaded(training, settings, (settings.rounds + 2) * settings.chunk, compiled=compiled) as run:
        run.loggers = [*run.loggers, Pace(advance)]
        run.train()
    warm = times[2:]
    ours, theirs = (statistics.median(side) * 1000 / settings.chunk for side in zip(*warm, strict=True))
    ratio = statistics.median(hand_time / our_time for our_time, hand_time in warm)
    return {"throughput": round(ratio, 3), "ms": round(ours, 3), "ms_by_hand": round(theirs, 3)}


def measure(training: Training, settings: Settings, *, compiled: bool) -> dict[str, Any]:
    """Everything about a training in one mode."""
    found: dict[str, Any] = {"artschool": None, "by_hand": None}
    for name, function in (("by_hand", alone_by_hand), ("artschool", alone)):
        found[name] = function(training, settings, compiled=compiled)
        _forget(settings)
    found |= in_turns(training, settings, compiled=compiled)
    _forget(settings)
    if not compiled:
        found["predicted"] = predicted(training, settings)
    if settings.on_gpu:
        peak = found["artschool"]["peak_bytes"]
        found["memory"] = round(peak / found["by_hand"]["peak_bytes"], 3)
        if not compiled:
            found["predicted"] |= {
                "memory": round(found["predicted"]["peak_bytes"] / peak, 3),
                "time": round(found["predicted"]["ms"] / found["ms"], 3),
            }
    return found


def _forget(settings: Settings) -> None:
    """Free what a measurement has left."""
    gc.collect()
    torch.compiler.reset()
    if settings.on_gpu:
        torch.cuda.empty_cache()


def machine(settings: Settings) -> dict[str, Any]:
    """Where the figures come from."""
    device = torch.cuda.get_device_name() if settings.on_gpu else platform.processor() or platform.machine()
    return {"device": device, "torch": torch.__version__, "python": platform.python_version()}


def name_of_gpu(device: torch.device) -> str:
    """The name for `artschool plan --gpu`: that of the device, if its data sheet is known."""
    known = data_sheet(torch.cuda.get_device_name()) if device.type == "cuda" else None
    return known.name if known else "h100"


def main() -> None:
    """Measure, print and write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--gpu", help="the name of the GPU for `artschool plan --gpu`; that of the device by default")
    parser.add_argument("--small", action="store_true", help="small networks, to try the script on a CPU")
    parser.add_argument("--rounds", type=int, default=12, help="how often both sides take their turn")
    parser.add_argument("--chunk", type=int, default=10, help="iterations of a turn, and between two log points")
    parser.add_argument("--workers", type=int, default=4, help="worker processes that load data, for each side")
    parser.add_argument("--only", nargs="*", default=[], help="names of trainings: toy_gan, unet, esrgan")
    parser.add_argument("--limit", type=float, default=330, help="seconds after which no measurement begins")
    parser.add_argument("--out", type=Path, default=Path("gpu.json"))
    arguments = parser.parse_args()
    device = torch.device(arguments.device)
    if device.type == "cuda" and arguments.chunk < 6:
        parser.error("--chunk: expected 6 or more on a GPU, where iterations between two log points are observed")
    settings = Settings(device, arguments.gpu or name_of_gpu(device), arguments.rounds, arguments.chunk)
    torch.set_float32_matmul_precision("high")
    torch.backends.cudnn.benchmark = True
    report: dict[str, Any] = {"machine": machine(settings), "trainings": {}, "left_out": []}
    chosen = [
        training
        for training in trainings(small=arguments.small, workers=arguments.workers)
        if not arguments.only or training.name in arguments.only
    ]
    start = time.perf_counter()
    for compiled, training in itertools.product((False, True), chosen):
        name = f"{training.name}/{'compiled' if compiled else 'eager'}"
        begin = time.perf_counter()
        if begin - start > arguments.limit:
            report["left_out"].append(name)
        else:
            found = measure(training, settings, compiled=compiled)
            report["trainings"][name] = found | {"seconds": round(time.perf_counter() - begin, 1)}
            print(f"{name} {json.dumps(report['trainings'][name])}", flush=True)
        arguments.out.write_text(json.dumps(report, indent=1))


if __name__ == "__main__":
    main()
