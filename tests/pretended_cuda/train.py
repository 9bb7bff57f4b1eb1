"""Trains files on tensors of a CUDA device that does not exist, to see what would fail or wait on one that does.

    LD_PRELOAD=device.so python -m tests.pretended_cuda.train FILE [KEY=VALUE ...]

The tensors have no values, so nothing is computed. torch refuses operations on tensors of two devices, and so does this
program refuse what would wait for the device: to read a number of a tensor, or to copy one between the devices.
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Generator, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, nullcontext
from pathlib import Path
from typing import Any
from unittest import mock

import torch
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensor, FakeTensorMode
from torch.utils._python_dispatch import TorchDispatchMode, _disable_current_modes, _get_current_dispatch_mode_stack
from torch.utils._pytree import tree_map

import artschool
from artschool.build import data
from artschool.data.loader import Loader
from artschool.engine.freeze import all_frozen
from artschool.engine.loop import train_once
from artschool.engine.run import Run
from artschool.trace.fake import fake_tensors

ITERATIONS = 4
CUDA = torch.device("cuda", 0)


class WaitError(Exception):
    """Something would wait for the device."""


class Refused(TorchDispatchMode):  # type: ignore[no-untyped-call]  # torch
    """Refuses what would wait for the device."""

    def __torch_dispatch__(
        self, func: Any, types: Sequence[type], args: Sequence[Any] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        kwargs = kwargs or {}
        devices = {value.device.type for value in args if isinstance(value, Tensor)}
        if func is torch.ops.aten._local_scalar_dense.default and devices == {"cuda"}:
            raise WaitError("reads a number")
        if func is torch.ops.aten._to_copy.default:
            devices.add(torch.device(kwargs.get("device") or args[0].device).type)
            _refuse_copy(devices, is_queued=kwargs.get("non_blocking", False))
        if func is torch.ops.aten.copy_.default:
            _refuse_copy(devices, is_queued=len(args) > 2 and args[2])
        return func(*args, **kwargs)


def _refuse_copy(devices: set[str], *, is_queued: bool) -> None:
    if len(devices) > 1 and not is_queued:
        raise WaitError(f"copies between {' and '.join(sorted(devices))}")


class Stream:
    """A stream or an event, in which nothing happens."""

    device = CUDA

    def __init__(self, *_: Any, **__: Any) -> None: ...

    def wait_stream(self, _: Any) -> None: ...

    def wait_event(self, _: Any) -> None: ...

    def record_event(self) -> Stream:
        return self


@contextmanager
def pretended() -> Iterator[None]:
    """Let torch have a CUDA device, on which tensors have no values."""
    functions: dict[str, Any] = {
        "is_available": lambda: True,
        "is_initialized": lambda: True,
        "device_count": lambda: 1,
        "current_device": lambda: 0,
        "device": lambda _: nullcontext(),
        "set_device": lambda _: None,
        "get_device_name": lambda *_: "pretended",
        "is_bf16_supported": lambda *_, **__: True,
        "manual_seed_all": lambda _: None,
        "default_generators": [torch.Generator()],
        "Stream": Stream,
        "stream": lambda _: nullcontext(),
        "current_stream": lambda *_: Stream(),
    }
    with ExitStack() as stack:
        for name, function in functions.items():
            stack.enter_context(mock.patch.object(torch.cuda, name, function))
        stack.enter_context(mock.patch.object(Tensor, "pin_memory", lambda tensor: tensor))
        stack.enter_context(mock.patch.object(Tensor, "record_stream", lambda *_: None))
        stack.enter_context(mock.patch.object(nn.Module, "to", _moved))
        stack.enter_context(mock.patch.object(FakeTensorMode, "may_turn_const", lambda *_: False))
        stack.enter_context(mock.patch.object(Loader, "load", _load_real(Loader.load)))
        stack.enter_context(mock.patch.object(data, "_dataset", _on_the_cpu(data._dataset)))
        stack.enter_context(stack.enter_context(fake_tensors()))
        yield


def _moved(module: nn.Module, device: torch.device) -> nn.Module:
    """`nn.Module.to`, which cannot change the device of a tensor without values."""
    moved: dict[int, nn.Parameter] = {}
    for part in module.modules():
        for name, parameter in part._parameters.items():
            if parameter is not None:
                new = nn.Parameter(parameter.detach().to(device), parameter.requires_grad)
                part._parameters[name] = moved.setdefault(id(parameter), new)
        for name, buffer in part._buffers.items():
            part._buffers[name] = buffer if buffer is None else buffer.to(device)
    return module


def _on_the_cpu(build: Any) -> Any:
    def built(*args: Any) -> Any:
        with _disable_current_modes():
            return build(*args)

    return built


def _load_real(load: Any) -> Any:
    """`Loader.load` for samples with values, of which the batches have none."""

    def loaded(loader: Loader, *args: Any, **options: Any) -> Generator[Any]:
        loader.workers = 0
        batches = load(loader, *args, **options)
        while True:
            with _disable_current_modes():
                batch = next(batches, None)
            if batch is None:
                return
            yield tree_map(_without_values, batch)

    return loaded


def _without_values(value: Any) -> Any:
    modes = [mode for mode in _get_current_dispatch_mode_stack() if isinstance(mode, FakeTensorMode)]
    return modes[-1].from_tensor(value) if isinstance(value, Tensor) and modes else value


def train(run: Run) -> None:
    """Train some iterations, in which nothing may wait for the device."""
    parameters = [parameter for network in run.networks.values() for parameter in network.parameters()]
    assert all(isinstance(parameter, FakeTensor) and parameter.device == CUDA for parameter in parameters)
    with all_frozen(run.networks.values()):
        for batch in run.streams.iterations(ITERATIONS, run.device):
            with Refused():  # type: ignore[no-untyped-call]  # torch
                run.undo.begin(run.iteration)
                train_once(run, batch)


def main(file: str, *overrides: str) -> None:
    with tempfile.TemporaryDirectory() as folder, pretended():
        run = artschool.load(file, ["train.device=cuda", *overrides], run_dir=Path(folder) / "run")
        train(run)
        sys.stdout.write(f"trained {run.iteration} iterations\n")


if __name__ == "__main__":
    main(*sys.argv[1:])
