"""Sharded tensors, of which each process has a part."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.utils._pytree import tree_map

from artschool.ranks.group import may_wait


def is_sharded(tensor: Tensor) -> bool:
    """Whether each process has only a part of a tensor: it is a DTensor."""
    return hasattr(tensor, "to_local")  # An import of torch.distributed.tensor takes as long as one of torch.


def local(tensor: Tensor) -> Tensor:
    """The part of a sharded tensor that this process has; it shares its memory. Another tensor is returned as it is."""
    if not is_sharded(tensor):
        return tensor
    with torch.no_grad():
        part: Tensor = tensor.to_local()  # type: ignore[attr-defined]  # a DTensor
    return part


def local_of(tensors: Iterable[Tensor]) -> list[Tensor]:
    """The parts of tensors that this process has."""
    return [local(tensor) for tensor in tensors]


def fuse_on_parts() -> None:
    """Let the fused optimizers of torch move the parts of sharded parameters that this process has.

    torch 2.13 has a rule of its own for Adam and AdamW, which takes longer, and none for SGD and Adagrad.
    """
    from torch.distributed.tensor import DTensor

    aten = torch.ops.aten
    handlers: dict[Any, Any] = DTensor._op_dispatcher._custom_op_handlers
    for kernel in (aten._fused_adam_, aten._fused_adamw_, aten._fused_sgd_, aten._fused_adagrad_):
        handlers[kernel.default] = _call_with_parts


def _call_with_parts(kernel: Any, args: Sequence[Any], options: Mapping[str, Any]) -> Any:
    return kernel(*tree_map(local, args), **options)


def copies_of(tensor: Tensor) -> int:
    """The number of processes that have the same part of a sharded tensor."""
    mesh, placements = tensor.device_mesh, tensor.placements  # type: ignore[attr-defined]  # a DTensor
    return math.prod(mesh.size(index) for index, placement in enumerate(placements) if placement.is_replicate())


@may_wait
@torch.no_grad()
def whole(tensor: Tensor) -> Tensor:
    """A sharded tensor with all its parts. Every process must call this. Another tensor is returned as it is."""
    gathered: Tensor = tensor.full_tensor() if is_sharded(tensor) else tensor  # type: ignore[attr-defined]  # a DTensor
    return gathered
