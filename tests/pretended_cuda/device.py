"""Tensors that say that they are on a CUDA device, and compute on the CPU; and the functions of `torch.cuda`."""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode, return_and_correct_aliasing
from torch.utils._pytree import tree_leaves, tree_map

DEVICE = torch.device("cuda", 0)
aten = torch.ops.aten
READS = {
    aten._local_scalar_dense.default, aten.equal.default, aten.is_nonzero.default, aten.nonzero.default,
    aten.masked_select.default, aten._unique2.default, aten.unique_dim.default, aten.bincount.default,
    aten.repeat_interleave.Tensor,
}  # fmt: skip
"""The operations whose result, or its size, the process reads from the device."""
COPIES = {aten._to_copy.default, aten.copy_.default}
INDEXING = {aten.index.Tensor, aten.index_put.default, aten.index_put_.default}


class Debug:
    """What `torch.cuda.set_sync_debug_mode` has set."""

    mode = "default"


class Exchange:
    """What the devices of several processes exchange.

    Attributes:
        is_stuck: Whether the device waits for another process, without end. Processes that read from it would too.
    """

    is_stuck = False


def wait(reason: str) -> None:
    """Fail or warn like torch if nothing may wait for the device."""
    if Exchange.is_stuck:
        raise RuntimeError(f"this process waits for its device, which waits for another process: {reason}")
    message = f"called a synchronizing CUDA operation: {reason}"
    if Debug.mode == "error":
        raise RuntimeError(message)
    if Debug.mode == "warn":
        warnings.warn(message, stacklevel=2)


class Pretended(Tensor):
    """A tensor on the device. Its values are those of `on_cpu`."""

    on_cpu: Tensor

    @staticmethod
    def __new__(cls, inner: Tensor) -> Pretended:
        made: Pretended = Tensor._make_wrapper_subclass(
            cls,
            inner.size(),
            strides=inner.stride(),
            storage_offset=inner.storage_offset(),
            dtype=inner.dtype,
            device=DEVICE,
        )
        made.on_cpu = inner
        return made

    @property
    def data(self) -> Tensor:
        """The tensor without its history. The values of another one can be assigned."""
        return self.detach()

    @data.setter
    def data(self, other: Tensor) -> None:
        torch._C.TensorBase.__dict__["data"].__set__(self, other)
        self.on_cpu = _inner(other)

    def untyped_storage(self) -> torch.UntypedStorage:
        """The memory of the values, which FSDP frees."""
        return self.on_cpu.untyped_storage()

    @classmethod
    def __torch_dispatch__(  # type: ignore[override]  # as torch documents it
        cls, func: Any, types: Sequence[type], args: Sequence[Any] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        if any(each not in (Tensor, nn.Parameter, Pretended) for each in types):
            return NotImplemented  # A DTensor calls the operation with the parts of this process.
        return run(func, args, kwargs or {})


class Factories(TorchDispatchMode):  # type: ignore[no-untyped-call]  # torch
    """Lets operations such as `torch.zeros` make tensors of the device, and others move tensors there."""

    def __torch_dispatch__(
        self, func: Any, types: Sequence[type], args: Sequence[Any] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        if any(each not in (Tensor, nn.Parameter, Pretended) for each in types):
            return func(*args, **(kwargs or {}))
        return run(func, args, kwargs or {})


def run(operation: Any, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Any:
    """Compute on the CPU, where the values of all tensors are."""
    tensors = [value for value in tree_leaves((args, kwargs)) if isinstance(value, Tensor)]
    there = [tensor for tensor in tensors if isinstance(tensor, Pretended)]
    device = kwargs.get("device")
    goes_there = bool(there) if device is None else torch.device(device).type == "cuda"
    if not there and not goes_there:
        return operation(*args, **kwargs)
    if operation in COPIES:
        if (goes_there and len(there) < len(tensors)) or not goes_there:
            is_queued = kwargs.get("non_blocking", False) or (operation is aten.copy_.default and args[2:] == (True,))
            if not is_queued:
                wait("a copy")
    elif there and any(tensor.dim() for tensor in tensors if not isinstance(tensor, Pretended)):
        raise RuntimeError(f"Expected all tensors to be on the same device, but found two: {operation}")
    if operation in READS or (operation in INDEXING and _by_booleans(args)):
        wait(f"{operation} reads")
    options = {name: value for name, value in kwargs.items() if name != "pin_memory"}
    if device is not None and goes_there:
        options["device"] = torch.device("cpu")
    result = operation(*tree_map(_inner, args), **tree_map(_inner, options))
    if not goes_there:
        return result
    result = tree_map(_pretended, result)
    if not there:
        return result
    return return_and_correct_aliasing(operation, args, kwargs, result)  # type: ignore[no-untyped-call]  # torch


def _inner(value: Any) -> Any:
    return value.on_cpu if isinstance(value, Pretended) else value


def _pretended(value: Any) -> Any:
    return Pretended(value) if isinstance(value, Tensor) and not isinstance(value, Pretended) else value


def _by_booleans(args: Sequence[Any]) -> bool:
    return any(value.dtype is torch.bool for value in tree_leaves(args[1]) if isinstance(value, Tensor))


class Moment:
    """A stream or an event. What it waits for is done already."""

    device = DEVICE

    def __init__(self, *_: Any, **__: Any) -> None: ...

    def record(self, *_: Any) -> Moment:
        self.time = time.perf_counter()
        return self

    def elapsed_time(self, later: Moment) -> float:
        return (later.time - self.time) * 1e3

    def query(self) -> bool:
        return True

    def nothing(self, *_: Any) -> None: ...

    record_event = record
    wait = wait_event = wait_stream = synchronize = nothing


class Properties:
    """Those of the device."""

    name, major, minor, total_memory, multi_processor_count = "pretended", 9, 0, 2**36, 100


def replace_functions() -> None:
    """Replace what looks for the device, and what torch itself does to values where no operation is called."""
    generator = torch.Generator()
    for name, value in {
        "_lazy_init": lambda: None,
        "is_available": lambda: True,
        "is_initialized": lambda: True,
        "is_bf16_supported": lambda *_, **__: True,
        "is_current_stream_capturing": lambda: False,
        "device_count": lambda: 1,
        "current_device": lambda: 0,
        "device": lambda _: nullcontext(),
        "set_device": lambda _: None,
        "get_device_name": lambda *_: Properties.name,
        "get_device_properties": lambda *_: Properties,
        "mem_get_info": lambda *_: (Properties.total_memory // 2, Properties.total_memory),
        "memory_allocated": lambda *_: 0,
        "max_memory_allocated": lambda *_: 0,
        "reset_peak_memory_stats": lambda *_: None,
        "empty_cache": lambda: None,
        "synchronize": lambda *_: None,
        "set_sync_debug_mode": lambda mode: setattr(Debug, "mode", mode),
        "default_generators": [generator],
        "manual_seed": generator.manual_seed,
        "manual_seed_all": generator.manual_seed,
        "Stream": Moment,
        "Event": Moment,
        "stream": lambda _: nullcontext(),
        "current_stream": lambda *_: Moment(),
    }.items():
        setattr(torch.cuda, name, value)
    for name, value in {
        "pin_memory": lambda tensor, *_: tensor,
        "is_pinned": lambda *_: True,
        "record_stream": lambda *_: None,
        "tolist": _read(Tensor.tolist),
        "__getitem__": _indexed(Tensor.__getitem__),
        "new_tensor": lambda tensor, data, **options: torch.tensor(data, device=tensor.device, **options),
    }.items():
        setattr(Tensor, name, value)
    torch.tensor, torch.as_tensor = _created(torch.tensor), _created(torch.as_tensor)
    for name in ("all_reduce", "broadcast", "all_gather", "all_gather_into_tensor", "reduce_scatter_tensor"):
        setattr(dist, name, _exchanged(getattr(dist, name)))
    dist.init_process_group = _without_nccl(dist.init_process_group)
    dist.distributed_c10d._abort_process_group = _freeing(dist.distributed_c10d._abort_process_group)
    torch.backends.cudnn.enabled = False
    torch._C._cuda_getCurrentRawStream = lambda device: 0  # torch._inductor imports it.
    # Otherwise, a parameter would get the memory of the pretended tensor, which has none.
    torch.__future__.set_overwrite_module_params_on_conversion(True)


def _read(function: Callable[..., Any]) -> Callable[..., Any]:
    def read(tensor: Tensor) -> Any:
        if isinstance(tensor, Pretended):
            wait("tolist")
        return function(_inner(tensor))

    return read


def _created(function: Callable[..., Any]) -> Callable[..., Any]:
    def created(data: Any, *, device: Any = None, **options: Any) -> Any:
        if device is None or torch.device(device).type != "cuda":
            return function(data, device=device, **options)
        if isinstance(data, Tensor):
            return data.to(device, options.get("dtype"))
        wait("a copy")
        return Pretended(function(data, **options))

    return created


class Done:
    """What the device exchanges, from the view of a process, which never waits for it."""

    def wait(self) -> None: ...


def _exchanged(function: Callable[..., Any]) -> Callable[..., Any]:
    def exchanged(*args: Any, async_op: bool = False, **options: Any) -> Any:
        if not any(isinstance(value, Pretended) for value in tree_leaves(args)):
            return function(*args, async_op=async_op, **options)
        try:
            function(*tree_map(_inner, args), **options)
        except RuntimeError:  # Another process has ended. NCCL leaves any values.
            Exchange.is_stuck = True
        return Done() if async_op else None

    return exchanged


def _without_nccl(function: Callable[..., Any]) -> Callable[..., Any]:
    return lambda backend, **options: function("gloo", **options)


def _freeing(function: Callable[..., Any]) -> Callable[..., Any]:
    def freeing() -> None:
        function()
        Exchange.is_stuck = False

    return freeing


def _indexed(function: Callable[..., Any]) -> Callable[..., Any]:
    def indexed(tensor: Tensor, index: Any) -> Any:
        return function(tensor, _on_the_device(index) if isinstance(tensor, Pretended) else index)

    return indexed


def _on_the_device(index: Any) -> Any:
    if isinstance(index, tuple):
        return tuple(map(_on_the_device, index))
    if isinstance(index, list) or (isinstance(index, Tensor) and index.dim() and not isinstance(index, Pretended)):
        wait("a copy of indices")
        return _pretended(torch.as_tensor(index))
    return index
