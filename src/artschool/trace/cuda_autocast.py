"""Let autocast on the CPU choose the types of autocast on CUDA, so that a trace takes the memory that a GPU takes."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor
from torch._ops import OpOverload
from torch.utils._pytree import tree_map

IN_FLOAT32 = (
    *("acos", "asin", "cosh", "erfinv", "exp", "expm1", "log", "log10", "log1p", "log2", "reciprocal", "rsqrt"),
    *("sinh", "tan", "softplus", "logsumexp", "pow.Scalar", "pow.Tensor_Scalar", "pow.Tensor_Tensor"),
    *("group_norm", "layer_norm", "native_layer_norm", "rms_norm", "linalg_vector_norm", "norm.Scalar"),
    *("norm.ScalarOpt_dim", "cosine_similarity", "dist", "pdist", "renorm"),
    *("upsample_nearest1d", "upsample_nearest2d", "upsample_nearest3d", "upsample_linear1d", "upsample_bilinear2d"),
    *("upsample_bicubic2d", "upsample_trilinear3d"),
)
"""Operations that autocast runs in float32 on CUDA but not on the CPU."""
TO_FLOAT32 = ("cumprod", "cumsum", "log_softmax.int", "softmax.int", "sum", "sum.dim_IntList")
"""Those whose result becomes float32, unless the code chooses its type."""
AUTOCAST = "AutocastCPU"


@contextmanager
def cuda_autocast() -> Iterator[None]:
    """Inside the context, autocast on the CPU chooses the types that it chooses on CUDA."""
    # Not every version of torch has a rule on CUDA for each of these operations.
    known = set(torch._C._dispatch_get_registrations_for_dispatch_key("AutocastCUDA"))
    with torch.library._scoped_library("aten", "IMPL", AUTOCAST) as library:
        for names, kernel in ((IN_FLOAT32, _in_float32), (TO_FLOAT32, _to_float32)):
            for name in names:
                if f"aten::{name}" in known:
                    library.impl(name, kernel(_operation(name)))
        yield


def _operation(name: str) -> OpOverload[..., Any]:
    packet, _, overload = name.partition(".")
    operation: OpOverload[..., Any] = getattr(getattr(torch.ops.aten, packet), overload or "default")
    return operation


def _in_float32(operation: OpOverload[..., Any]) -> Callable[..., Any]:
    def run(*args: Any, **named: Any) -> Any:
        args, named = tree_map(_widened, (args, named))
        with _without_autocast():
            return operation(*args, **named)

    return run


def _to_float32(operation: OpOverload[..., Any]) -> Callable[..., Any]:
    names = [argument.name for argument in operation._schema.arguments]

    def run(*args: Any, **named: Any) -> Any:
        given = dict(zip(names, args, strict=False)) | named
        if given["self"].is_floating_point() and given.get("dtype") is None:
            given["dtype"] = torch.float32
        with _without_autocast():
            return operation(**given)

    return run


def _widened(value: Any) -> Any:
    is_narrow = isinstance(value, Tensor) and value.dtype in (torch.bfloat16, torch.float16)
    return value.float() if is_narrow else value


def _without_autocast() -> Any:
    return torch._C._ExcludeDispatchKeyGuard(torch._C.DispatchKeySet(torch._C.DispatchKey.AutocastCPU))
