"""Tensors that are kept in the memory of the CPU and come to the device part by part, while an update needs them.

The device computes with the same kernels as without, so no bit differs. Copies are queued like kernels, so this process
does not wait for the device.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from functools import cache
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from artschool import ranks
from artschool.errors import StateError

LEAST_BYTES = 64 * 1024
"""Size from which a tensor is kept in the memory of the CPU. A copy of less takes time and saves nothing."""
PART_BYTES = 64 * 1024 * 1024
"""Bytes of the parameters whose state is on the device at once."""
Tensors = list[Tensor]


class Traffic:
    """Copies between a device and the memory of the CPU, which is pinned if the device is a CUDA device.

    Those to the device run in the current stream, and those back beside it, so that both directions of the bus are in
    use. The current stream waits for a copy back before the next but one begins, so memory is bounded.
    """

    def __init__(self) -> None:
        self._leaving: deque[tuple[torch.cuda.Event, Sequence[Tensor]]] = deque()
        self._done: torch.cuda.Event | None = None

    def fetch(self, hosts: Iterable[Tensor], device: torch.device) -> Tensors:
        """Copies on the device."""
        return [host.to(device, non_blocking=True, copy=True) for host in hosts]

    @torch.no_grad()
    def store(self, tensors: Sequence[Tensor], hosts: Sequence[Tensor]) -> None:
        """Copy tensors to the memory of the CPU, and keep them until that is done."""
        stream = _stream(tensors[0].device, "back") if tensors and tensors[0].is_cuda else None
        if stream is not None:
            stream.wait_stream(torch.cuda.current_stream(stream.device))
        with nullcontext() if stream is None else torch.cuda.stream(stream):
            for tensor, host in zip(tensors, hosts, strict=True):
                host.copy_(tensor, non_blocking=True)
        if stream is not None:
            self._leaving.append((stream.record_event(), tensors))
            self._release(all_but=1)

    def finish(self) -> None:
        """Let the current stream wait for all copies, so that their tensors can be freed."""
        if self._leaving:
            self._done = self._leaving[-1][0]
        self._release(all_but=0)

    def join(self, device: torch.device) -> None:
        """Let the current stream of a device wait for all copies until the last `finish`."""
        if self._done is not None:
            torch.cuda.current_stream(device).wait_event(self._done)

    def wait(self) -> None:
        """Wait for all copies until the last `finish`, so that this process can read the memory of the CPU."""
        if self._done is not None:
            self._done.synchronize()

    def _release(self, all_but: int) -> None:
        while len(self._leaving) > all_but:
            event, tensors = self._leaving.popleft()
            torch.cuda.current_stream(tensors[0].device).wait_event(event)


class OffloadedState:
    """The state of an optimizer, in the memory of the CPU.

    A step calls the optimizer once for each part of each group. What the optimizer writes to a group is kept if all
    parts agree on it, as on a count of steps.

    Args:
        optimizer: An optimizer that treats each parameter on its own.
    """

    def __init__(self, optimizer: Optimizer) -> None:
        self._optimizer = optimizer
        self._traffic = Traffic()
        self._hosts: dict[tuple[Tensor, str], Tensor] = {}
        self.parts: list[tuple[int, list[nn.Parameter]]] = [
            (index, part)
            for index, group in enumerate(optimizer.param_groups)
            for part in ranks.buckets(group["params"], PART_BYTES)
        ]
        self.keep()

    def step(self) -> None:
        """Move the parameters that have a gradient.

        Raises:
            StateError: The optimizer computes something from all parameters of a group.
        """
        optimizer, groups = self._optimizer, self._optimizer.param_groups
        written: dict[int, dict[str, Any]] = {}
        try:
            for index, parameters in self.parts:
                moving = [parameter for parameter in parameters if parameter.grad is not None]
                if not moving:
                    continue
                optimizer.param_groups = [{**groups[index], "params": moving}]
                self._fetch(moving)
                optimizer.step()
                self._store(moving)
                now = {name: value for name, value in optimizer.param_groups[0].items() if name != "params"}
                self._compare(written.setdefault(index, now), now)
        finally:
            optimizer.param_groups = groups
            self._traffic.finish()
        for index, values in written.items():
            groups[index].update(values)

    def keep(self, parameters: Iterable[Tensor] | None = None) -> None:
        """Bring state that is on the device, as after loading it, to the memory of the CPU."""
        parts = [part for _, part in self.parts] if parameters is None else [[*parameters]]
        for part in parts:
            self._store(part)
        self._traffic.finish()

    def wait(self) -> None:
        """Wait until the state is in the memory of the CPU, so that this process can read it."""
        self._traffic.wait()

    @property
    def hosts(self) -> Tensors:
        """The memory of the CPU that the state is in."""
        return [*self._hosts.values()]

    def _fetch(self, parameters: Sequence[Tensor]) -> None:
        found = [(value, self._hosts[key]) for key, value in self._slots(parameters) if key in self._hosts]
        for (value, _), memory in zip(found, self._fetched(found, parameters), strict=True):
            _set_memory(value, memory)

    def _fetched(self, found: Sequence[tuple[Tensor, Tensor]], parameters: Sequence[Tensor]) -> Tensors:
        return self._traffic.fetch((host for _, host in found), ranks.local(parameters[0]).device) if found else []

    def _store(self, parameters: Sequence[Tensor]) -> None:
        large = [
            (key, value) for key, value in self._slots(parameters) if is_large(value) and value.device == key[0].device
        ]
        tensors = [ranks.local(value).detach() for _, value in large]
        hosts = [self._host(key, tensor) for (key, _), tensor in zip(large, tensors, strict=True)]
        self._traffic.store(tensors, hosts)
        for (_, value), host in zip(large, hosts, strict=True):
            _set_memory(value, host)

    def _slots(self, parameters: Sequence[Tensor]) -> list[tuple[tuple[Tensor, str], Tensor]]:
        """The tensors of the state, by parameter and slot."""
        state = self._optimizer.state
        named = [((p, slot), value) for p in parameters for slot, value in state.get(p, {}).items()]
        return [(key, value) for key, value in named if isinstance(value, Tensor)]

    def _host(self, key: tuple[Tensor, str], tensor: Tensor) -> Tensor:
        host = self._hosts.get(key)
        if host is None or (host.shape, host.dtype, host.stride()) != (tensor.shape, tensor.dtype, tensor.stride()):
            host = self._hosts[key] = host_like(tensor)
        return host

    def _compare(self, one: dict[str, Any], other: dict[str, Any]) -> None:
        differing = [name for name, value in other.items() if _plain(value) != _plain(one.get(name))]
        if differing:
            raise StateError(
                f"{type(self._optimizer).__name__} computes {differing[0]!r} from all parameters of a group, and "
                "`train.offload` gives it a part of them at a time. Fix: remove `train.offload.optimizer`"
            )


class OffloadedAverages:
    """The averaged tensors of a network, in the memory of the CPU.

    They follow in a stream of their own, for which only the next update waits, since it changes what they follow.

    Args:
        averages: The averaged tensors. Those that are sharded are in the memory of the CPU already.
        sources: The tensors that they follow, on the device.
    """

    def __init__(self, averages: Sequence[Tensor], sources: Sequence[Tensor]) -> None:
        self._traffic = Traffic()
        self._device = ranks.local(sources[0]).device if sources else torch.device("cpu")
        self._whole = [average for average in averages if not ranks.is_sharded(average)]
        for average in self._whole:
            if average.device == self._device:
                average.data = host_like(average).copy_(average.detach())
        pairs = {ranks.local(average): ranks.local(source) for average, source in zip(averages, sources, strict=True)}
        self._parts = [(part, [pairs[average] for average in part]) for part in ranks.buckets(pairs, PART_BYTES)]

    def update(self, move: Callable[[Tensors, Tensors], None], skipped: Tensor | None) -> None:
        """Call a function with averages and what they follow, part by part, and keep the averages.

        Args:
            skipped: A tensor on the device that the function reads.
        """
        stream = _stream(self._device, "beside") if self._device.type == "cuda" else None
        if stream is not None:
            stream.wait_stream(torch.cuda.current_stream(self._device))
            if skipped is not None:
                skipped.record_stream(stream)
        with nullcontext() if stream is None else torch.cuda.stream(stream):
            for hosts, sources in self._parts:
                averages = self._traffic.fetch(hosts, self._device)
                move(averages, sources)
                self._traffic.store(averages, hosts)
            self._traffic.finish()

    def join(self) -> None:
        """Let what is queued from now on wait, on the device, until the averages have followed."""
        self._traffic.join(self._device)

    def wait(self) -> None:
        """Wait until the averages have followed, so that this process can read them."""
        self._traffic.wait()

    @property
    def hosts(self) -> Tensors:
        """The memory of the CPU that the averages are in."""
        return [host for hosts, _ in self._parts for host in hosts]

    @contextmanager
    def on_device(self) -> Iterator[None]:
        """Have the averages on the device. What changes them there is lost. Sharded ones are gathered there anyway."""
        self.join()
        hosts = [average.data for average in self._whole]
        for average, memory in zip(self._whole, self._traffic.fetch(hosts, self._device), strict=True):
            average.data = memory
        try:
            yield
        finally:
            for average, host in zip(self._whole, hosts, strict=True):
                average.data = host


def is_large(tensor: Tensor) -> bool:
    """Whether a tensor, or the part of it that this process has, is worth to be kept in the memory of the CPU."""
    return ranks.local(tensor).nbytes >= LEAST_BYTES


def host_like(tensor: Tensor) -> Tensor:
    """Memory of the CPU for a tensor."""
    return torch.empty_like(tensor, device="cpu", pin_memory=tensor.is_cuda, requires_grad=False)


def _set_memory(tensor: Tensor, memory: Tensor) -> None:
    """Give a tensor, or the part of a sharded one that this process has, other memory with its values."""
    if ranks.is_sharded(tensor):
        tensor._local_tensor = memory  # type: ignore[attr-defined]  # a DTensor; FSDP does the same
    else:
        tensor.data = memory


def _plain(value: Any) -> Any:
    """A value of a group that can be compared: of a tensor, its identity and the number of its changes."""
    return (id(value), value._version) if isinstance(value, Tensor) else value


@cache
def _stream(device: torch.device, name: str) -> torch.cuda.Stream:
    """A stream of a device by name, made once."""
    return torch.cuda.Stream(device)  # type: ignore[no-untyped-call]  # torch
