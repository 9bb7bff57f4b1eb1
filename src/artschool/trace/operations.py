"""Checks of kernels that torch skips for tensors without values, and the results of some operations."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from artschool.trace.keys import describe_kind, dtype_of

aten = torch.ops.aten

Rule = Callable[..., Any]
"""Takes an operation and its arguments. Raises where the kernel would; returns the result, or None to run it."""


def _sampled(_: Any, image: Tensor, grid: Tensor, *__: Any) -> Tensor:
    count, height, width, coordinates = grid.shape
    if (count, coordinates, grid.dtype) != (len(image), 2, image.dtype):
        raise RuntimeError(f"a grid {describe_kind(grid)} does not fit images {describe_kind(image)}")
    return image.new_empty(*image.shape[:2], height, width)


def _resized(_: Any, image: Tensor, size: Sequence[int], *__: Any) -> Tensor:
    if min(size) < 1 or not (image.is_floating_point() or image.dtype is torch.uint8):
        raise RuntimeError(f"images {describe_kind(image)} cannot become {size[0]} pixels high and {size[1]} wide")
    result = image.new_empty(*image.shape[:2], *size)
    last = image.is_contiguous(memory_format=torch.channels_last) and not image.is_contiguous()
    return result.to(memory_format=torch.channels_last) if last else result


def _of_one_type(operation: Any, *arguments: Any) -> None:
    found = dict.fromkeys(dtype_of(value) for value in arguments if isinstance(value, Tensor))
    if len(found) > 1:
        raise RuntimeError(f"{_name(operation)} takes tensors of one type, found {' and '.join(found)}")


def _compared(operation: Any, x: Tensor, target: Tensor, *_: Any) -> None:
    _of_one_type(operation, x, target)


def _normalized(operation: Any, x: Tensor, *arguments: Any) -> None:
    """A norm in half precision also takes weights and statistics in float32."""
    wide = torch.float32 if x.dtype in (torch.float16, torch.bfloat16) else None
    _of_one_type(operation, x, *(v for v in arguments if isinstance(v, Tensor) and v.dtype is not wide))


def _fractions(operation: Any, x: Tensor, *_: Any) -> None:
    if not (x.is_floating_point() or x.is_complex()):
        raise RuntimeError(f"{_name(operation)} takes floating-point numbers, found {dtype_of(x)}")


def _fractions_or_bytes(operation: Any, x: Tensor, *_: Any) -> None:
    if x.dtype is not torch.uint8:
        _fractions(operation, x)


def _numbers(_: Any, *arguments: Any) -> None:
    if any(isinstance(value, Tensor) and value.dtype is torch.bool for value in arguments):
        raise RuntimeError("a difference takes numbers, found bool; `~` inverts a mask")


def _indexed(operation: Any, x: Tensor, _: int, index: Tensor, *source: Tensor) -> None:
    if index.dtype not in (torch.int32, torch.int64):
        raise RuntimeError(f"{_name(operation)} takes indices in int64, found {dtype_of(index)}")
    _of_one_type(operation, x, *source)


def _assigned(operation: Any, x: Tensor, _: Any, values: Tensor, *__: Any) -> None:
    if values.numel() > 1:  # With a mask, a single value may have any type.
        _of_one_type(operation, x, values)


def _classified(operation: Any, x: Tensor, classes: Tensor, weight: Tensor | None, *options: Any) -> Any:
    if classes.dtype is torch.uint8 and operation is aten.nll_loss_forward.default:
        return operation(x, classes.long(), weight, *options)  # Torch rejects bytes here; the kernel accepts them.
    if classes.dtype is not torch.int64:
        raise RuntimeError(f"{_name(operation)} takes classes in int64, found {dtype_of(classes)}")
    _fractions(operation, x)
    _of_one_type(operation, x, weight)
    return None


def _classified_backward(operation: Any, gradient: Tensor, x: Tensor, classes: Tensor, *options: Any) -> Any:
    return operation(gradient, x, classes.long(), *options) if classes.dtype is torch.uint8 else None


def _name(operation: Any) -> str:
    name: str = operation.overloadpacket.__name__
    return name.strip("_").removesuffix("_forward").removesuffix("_backward")


KINDS: Mapping[Rule, Sequence[Any]] = {
    _sampled: [aten.grid_sampler_2d.default],
    _resized: [aten.upsample_bicubic2d.default, aten.upsample_bilinear2d.default],
    _of_one_type: [
        aten.convolution.default,
        aten.addmm.default,
        aten.addmv.default,
        aten.mm.default,
        aten.mv.default,
        aten._cdist_forward.default,
        aten.linalg_cross.default,
        aten.complex.default,
        aten.polar.default,
        aten.grid_sampler_3d.default,
        aten.huber_loss_backward.default,
    ],
    _compared: [aten.binary_cross_entropy.default],
    _normalized: [aten.native_batch_norm.default, aten.native_layer_norm.default, aten.native_group_norm.default],
    _fractions: [
        aten._softmax.default,
        aten._log_softmax.default,
        aten.log_sigmoid_forward.default,
        aten.gelu.default,
        aten.glu.default,
        aten.hardsigmoid.default,
        aten.hardswish.default,
        aten.mish.default,
        aten.silu.default,
        aten._adaptive_avg_pool2d.default,
        aten.adaptive_max_pool2d.default,
        aten.upsample_linear1d.default,
        aten.upsample_trilinear3d.default,
        aten.std.correction,
        aten.var.correction,
    ],
    _fractions_or_bytes: [
        aten._upsample_bicubic2d_aa.default,
        aten._upsample_bilinear2d_aa.default,
        aten.upsample_nearest1d.default,
        aten.upsample_nearest2d.default,
        aten.upsample_nearest3d.default,
        aten._upsample_nearest_exact2d.default,
    ],
    _numbers: [aten.sub.Tensor, aten.sub_.Tensor, aten.rsub.Scalar],
    _indexed: [aten.index_select.default, aten.index_add.default, aten.index_add_.default],
    _assigned: [aten.index_put.default, aten.index_put_.default],
    _classified: [aten.nll_loss_forward.default, aten.nll_loss2d_forward.default],
    _classified_backward: [aten.nll_loss_backward.default],
}
RULES: Mapping[Any, Rule] = {operation: rule for rule, operations in KINDS.items() for operation in operations}
"""Rules by operation. To find a shape, torch would run a hundred operations for each whose result is given here."""
UPDATES = frozenset(
    overload
    for operation in (aten._fused_sgd_, aten._fused_adagrad_)
    for overload in (operation.default, operation.tensor_lr)
)
"""Operations that only write their arguments. torch has no version of them without values: it would run the kernels, on
memory for all of these tensors."""
