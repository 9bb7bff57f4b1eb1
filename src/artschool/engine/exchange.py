"""The exchange of gradients: sums over processes, which overlap with the backward pass that computes the gradients."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from itertools import accumulate

import torch
from torch import Tensor, nn

from artschool import ranks
from artschool.errors import StateError

FIRST_BUCKET_BYTES = 1024 * 1024
"""Size of the first bucket, which is small so that the exchange starts early."""
BUCKET_BYTES = 25 * 1024 * 1024
"""Size of every other bucket. A larger parameter has a bucket of its own."""
ALIGNMENT = 16
"""Elements. Gradients begin at multiples of it in a bucket, since kernels are slower on memory that is not aligned."""


class Exchange:
    """Sums the gradients of a step over all processes. With a single process, it does nothing and costs nothing.

    Each process scales its loss by its share of the whole batch, so the sum is the gradient of the batch. Gradients are
    sent in buckets. A bucket whose gradients are complete is sent at once, while backward computes the others.

    The order of the buckets depends only on the parameters that are trained: backward reaches the last one first. All
    processes send the same buckets in the same order, even if one of them lacks gradients, and in a process group of
    their own, so that losses may communicate in backward.

    Gradients become views of their bucket, whose memory is not used again while code keeps a gradient.

    Args:
        name: The name of the step, for errors.
        parameters: All parameters that the step may train. Those that are sharded (`DTensor`) are left out: FSDP sums
            their gradients.

    Attributes:
        keeps_memory: Whether parameters on a CPU keep the memory of their buckets between iterations.
    """

    def __init__(self, name: str, parameters: Sequence[nn.Parameter]) -> None:
        self.keeps_memory = True
        self._name = name
        self._plans: dict[tuple[int, ...], dict[Tensor, _Bucket]] = {}
        self._owners: dict[Tensor, _Bucket] = {}
        self._buckets: list[_Bucket] = []
        self._sent = 0
        self._is_last = False
        if ranks.world_size() > 1:
            for parameter in _replicated(parameters):
                parameter.register_post_accumulate_grad_hook(self._arrived)  # type: ignore[no-untyped-call]  # torch

    def start(self, parameters: Sequence[nn.Parameter]) -> None:
        """Begin an iteration that trains these parameters: the same ones on every process."""
        if ranks.world_size() == 1:
            return
        key = tuple(map(id, parameters))
        if key not in self._plans:
            in_order = ranks.buckets(_replicated(reversed(parameters)), BUCKET_BYTES, first=FIRST_BUCKET_BYTES)
            buckets = [_Bucket(bucket, keeps_memory=self.keeps_memory) for bucket in in_order]
            self._plans[key] = {parameter: bucket for bucket in buckets for parameter in bucket.parameters}
        self._owners = self._plans[key]
        self._buckets = list(dict.fromkeys(self._owners.values()))
        self._sent = 0
        for bucket in self._buckets:
            bucket.expect()

    def part(self, *, is_last: bool) -> AbstractContextManager[None]:
        """The context of the backward pass of a micro-batch. Gradients are complete in the last one of the process."""
        return self._last_part() if is_last and self._buckets else nullcontext()

    def finish(self) -> None:
        """Send what is left, wait for all sums, and replace each gradient with its sum.

        A parameter without a gradient in this process gets the sum of the others. If no process has a gradient, it
        stays None. The processes find out on the CPU, so that none of them waits for its device.

        Returns when all processes have called this, and fails if one has failed before. On GPUs, the sums make only the
        devices wait: the processes would continue, and count an iteration that their devices never finish.
        """
        if ranks.world_size() == 1:
            return
        for bucket in self._buckets[self._sent :]:
            bucket.send()
        present = [number for bucket in self._buckets for number in bucket.present]
        counts = ranks.start_sum_of_numbers([1, *present])  # Also where FSDP sums all gradients.
        for bucket in self._buckets:
            bucket.receive()
        parameters = [parameter for bucket in self._buckets for parameter in bucket.parameters]
        for parameter, count in zip(parameters, counts()[1:], strict=True):
            if not count:
                parameter.grad = None
        self._buckets = []

    @contextmanager
    def _last_part(self) -> Iterator[None]:
        self._is_last = True
        try:
            yield
        finally:
            self._is_last = False

    def _arrived(self, parameter: Tensor) -> None:
        """Note that a gradient is complete, and send the buckets that have become complete, in their order."""
        if not self._is_last or (owner := self._owners.get(parameter)) is None:
            return
        if owner.is_sent:
            raise StateError(
                f"steps.{self._name}: a parameter of shape {tuple(parameter.shape)} got its gradient in several parts "
                "within one backward pass. Fix: use `activation_checkpointing` of the network, or call "
                "torch.utils.checkpoint with `use_reentrant=False`"
            )
        owner.missing.discard(parameter)
        while self._sent < len(self._buckets) and not self._buckets[self._sent].missing:
            self._buckets[self._sent].send()
            self._sent += 1


class _Bucket:
    """Gradients that are sent together.

    Attributes:
        parameters: Parameters of one dtype on one device.
        missing: The parameters whose gradients backward has not completed.
        is_sent: Whether the bucket is sent.
        present: For each parameter, whether it had a gradient in this process when the bucket was sent: 1 or 0.
    """

    def __init__(self, parameters: Sequence[nn.Parameter], *, keeps_memory: bool) -> None:
        self.parameters = parameters
        self._keeps_memory = keeps_memory and parameters[0].device.type == "cpu"
        self.missing: set[Tensor] = set()
        self.is_sent = False
        ends = [*accumulate(-(-parameter.numel() // ALIGNMENT) * ALIGNMENT for parameter in parameters)]
        self._offsets = [0, *ends[:-1]]
        self._strides = [_strides(parameter) for parameter in parameters]
        self._end = ends[-1]
        self.present: list[int] = []
        self._wait: Callable[[], object] | None = None
        self._kept: Tensor | None = None
        self._unused = 0

    def expect(self) -> None:
        """Begin an iteration, in which no gradient has arrived."""
        self.missing = set(self.parameters)
        self.is_sent = False

    @torch.no_grad()
    def send(self) -> None:
        """Copy the gradients into the bucket and begin to sum it over processes."""
        self.is_sent = True
        flat = self._memory()
        views = [
            flat.as_strided(parameter.shape, strides, offset)
            for parameter, strides, offset in zip(self.parameters, self._strides, self._offsets, strict=True)
        ]
        gradients = [parameter.grad for parameter in self.parameters]
        self.present = [int(gradient is not None) for gradient in gradients]
        for view, gradient in zip(views, gradients, strict=True):
            if gradient is None:
                view.zero_()
        pairs = [(view, gradient) for view, gradient in zip(views, gradients, strict=True) if gradient is not None]
        if pairs:
            torch._foreach_copy_([view for view, _ in pairs], [gradient for _, gradient in pairs])
        for parameter, view in zip(self.parameters, views, strict=True):
            parameter.grad = view
        self._wait = ranks.start_sum(flat)

    def receive(self) -> None:
        """Wait for the sum."""
        assert self._wait is not None
        self._wait()
        self._wait = None

    def _memory(self) -> Tensor:
        """Memory for the bucket: on a CPU that of the iteration before, unless something refers to a gradient in it.

        A CPU has to clear the pages of new memory, which takes as long as a sum. A GPU keeps its memory by itself.
        """
        first = self.parameters[0]
        if self._kept is not None and references(self._kept) == self._unused:
            return self._kept
        memory = torch.empty(self._end, dtype=first.dtype, device=first.device)
        if self._keeps_memory:
            self._kept, self._unused = memory, references(memory)
        return memory


def references(tensor: Tensor) -> int:
    """The number of tensors and other objects that use the memory of a tensor."""
    count: int = torch._C._storage_Use_Count(tensor.untyped_storage()._cdata)
    return count


def _replicated(parameters: Iterable[nn.Parameter]) -> list[nn.Parameter]:
    """The parameters that every process has whole."""
    from torch.distributed.tensor import DTensor  # Importing it takes long, and a single process needs none.

    return [parameter for parameter in parameters if not isinstance(parameter, DTensor)]


def _strides(parameter: nn.Parameter) -> tuple[int, ...]:
    """The strides of a gradient: those of its parameter, such as for `channels_last`, if these leave no gaps."""
    return torch.empty_like(parameter, device="meta").stride()
