"""Counts what operations take: FLOPs, bytes of memory read and written, and bytes exchanged between processes."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from typing import Any, NamedTuple

import torch
import torch.distributed as dist
from torch import Tensor
from torch._ops import OpOverload
from torch.utils._python_dispatch import TorchDispatchMode, is_traceable_wrapper_subclass_type
from torch.utils._pytree import tree_leaves
from torch.utils.flop_counter import flop_registry, sdpa_backward_flop_count, sdpa_flop_count

aten = torch.ops.aten
KINDS = ("all-reduce", "all-gather", "reduce-scatter", "broadcast")


class Operation(NamedTuple):
    """What one operation takes.

    Attributes:
        flops: Floating-point operations; a multiplication and an addition count as two.
        nbytes: Bytes of memory that it reads and writes: the sizes of its inputs and outputs.
        dtype: The type of its result, such as `bfloat16`.
        backward: Whether it runs in backward.
    """

    flops: int
    nbytes: int
    dtype: str
    backward: bool


class Message(NamedTuple):
    """One exchange between the processes of a group.

    Attributes:
        kind: `all-reduce`, `all-gather`, `reduce-scatter`, `broadcast` or the name of another operation.
        nbytes: Bytes of the whole tensor: the sum, the gathered one, or the one that is scattered.
        ranks: The number of processes.
        stride: The distance between the ranks of two neighbors in the group.
        backward: Whether it is sent in backward.
    """

    kind: str
    nbytes: int
    ranks: int
    stride: int
    backward: bool

    @property
    def sent(self) -> float:
        """The bytes that each process sends, with the algorithms of a ring."""
        share = (self.ranks - 1) / self.ranks
        return self.nbytes * (2 * share if self.kind == "all-reduce" else share)


@dataclass
class Work:
    """Operations and messages, and how often each occurs.

    Attributes:
        offloaded: Bytes that come from the memory of the CPU, and go back there.
    """

    operations: Counter[Operation] = field(default_factory=Counter)
    messages: Counter[Message] = field(default_factory=Counter)
    offloaded: int = 0

    @property
    def flops(self) -> int:
        """All floating-point operations."""
        return sum(operation.flops * count for operation, count in self.operations.items())

    @property
    def sent(self) -> dict[str, float]:
        """The bytes that each process sends, by kind of message."""
        sent: dict[str, float] = {}
        for message, count in self.messages.items():
            sent[message.kind] = sent.get(message.kind, 0) + message.sent * count
        return sent


class WorkCounter(TorchDispatchMode):  # type: ignore[no-untyped-call]  # torch
    """Counts what operations take inside a context of `counted`."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]  # torch
        self._work = Work()

    @contextmanager
    def counted(self) -> Iterator[Work]:
        """Count the operations inside the context."""
        self._work = Work()
        try:
            yield self._work
        finally:
            self._work = Work()

    def __torch_dispatch__(
        self,
        func: OpOverload[..., Any],
        types: Sequence[type],
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        if any(map(is_traceable_wrapper_subclass_type, types)):
            return NotImplemented  # A sharded tensor, whose own operations follow.
        kwargs = kwargs or {}
        result = func(*args, **kwargs)
        backward = torch._C._current_autograd_node() is not None
        if func.namespace in ("c10d", "_c10d_functional"):
            self._work.messages.update(_messages(func, args, result, backward))
        elif func.namespace not in ("prim", "profiler") and not _only_names(func):
            self._work.operations[_operation(func, args, kwargs, result, backward)] += 1
        return result


def _operation(
    func: OpOverload[..., Any], args: Sequence[Any], kwargs: Mapping[str, Any], result: Any, backward: bool
) -> Operation:
    formula = FORMULAS.get(func.overloadpacket)
    flops = formula(*args, **kwargs, out_val=result) if formula else 0
    read = _tensors(args, kwargs)
    made = [] if _returns_an_argument(func) else _tensors(result)
    changed = _tensors([args[i] if i < len(args) else kwargs.get(name) for i, name in _written(func)])
    results = made or changed or read
    nbytes = sum(map(_nbytes, [*read, *made, *changed]))
    return Operation(flops, nbytes, str(results[0].dtype).removeprefix("torch.") if results else "", backward)


def _messages(func: OpOverload[..., Any], args: Sequence[Any], result: Any, backward: bool) -> Iterator[Message]:
    sizes = [sum(map(_nbytes, _tensors(value))) for value in (*args, result)]
    group = next((group for group in map(_group, args) if group is not None), None)
    if group is None or not any(sizes) or group.size() == 1:
        return
    ranks = dist.get_process_group_ranks(group)
    name = func.overloadpacket.__name__.replace("_", "")
    kind = next((kind for kind in KINDS if name.startswith(kind.replace("-", ""))), name)
    yield Message(kind, max(sizes), len(ranks), ranks[1] - ranks[0], backward)


def _group(value: Any) -> Any:
    """The group of processes that an argument is, or names."""
    if isinstance(value, torch.ScriptObject) and "ProcessGroup" in str(value._type()):
        return dist.ProcessGroup.unbox(value)
    groups = dist.distributed_c10d._world.pg_names if isinstance(value, str) else {}
    return next((group for group, name in groups.items() if name == value), None)


def _tensors(*values: Any) -> list[Tensor]:
    return list({id(v): v for v in tree_leaves(values) if isinstance(v, Tensor)}.values())


def _nbytes(tensor: Tensor) -> int:
    """The bytes of memory behind a tensor. One that is expanded has more elements than memory."""
    if tensor.layout is not torch.strided:
        return 0
    return min(tensor.numel() * tensor.itemsize, tensor.untyped_storage().nbytes())


@cache
def _only_names(func: OpOverload[..., Any]) -> bool:
    """Whether an operation touches no memory: it returns a view, or memory without values."""
    returned = [value.alias_info for value in func._schema.returns]
    is_view = any(alias is not None and not alias.is_write for alias in returned)
    return is_view or "empty" in func.overloadpacket.__name__


@cache
def _returns_an_argument(func: OpOverload[..., Any]) -> bool:
    return any(value.alias_info is not None for value in func._schema.returns)


@cache
def _written(func: OpOverload[..., Any]) -> list[tuple[int, str]]:
    arguments = enumerate(func._schema.arguments)
    return [(i, each.name) for i, each in arguments if each.alias_info is not None and each.alias_info.is_write]


def _attention(query: Tensor, key: Tensor, value: Tensor, *_: Any, **__: Any) -> int:
    return int(sdpa_flop_count(query.shape, key.shape, value.shape))  # type: ignore[no-untyped-call]  # torch


def _attention_backward(gradient: Tensor, query: Tensor, key: Tensor, value: Tensor, *_: Any, **__: Any) -> int:
    shapes = gradient.shape, query.shape, key.shape, value.shape
    return int(sdpa_backward_flop_count(*shapes))  # type: ignore[no-untyped-call]  # torch


def _recurrent(x: Tensor, of_input: Tensor, of_hidden: Tensor, *_: Any, **__: Any) -> int:
    """(T, B, C): two matrix products at each of T x B places."""
    return 2 * math.prod(x.shape[:2]) * (of_input.numel() + of_hidden.numel())


def _recurrent_backward(*args: Any, **_: Any) -> int:
    return 2 * _recurrent(*args)


FORMULAS: Mapping[Any, Callable[..., int]] = {
    **flop_registry,
    aten._scaled_dot_product_flash_attention_for_cpu: _attention,
    aten._scaled_dot_product_flash_attention_for_cpu_backward: _attention_backward,
    aten.mkldnn_rnn_layer: _recurrent,
    aten.mkldnn_rnn_layer_backward: _recurrent_backward,
}
"""The FLOPs of matrix products, convolutions, attention and recurrent layers. All other operations count as none."""
