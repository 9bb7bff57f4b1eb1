"""What kernels and formulas for real numbers need to know about complex tensors."""

from __future__ import annotations

import torch
from torch import Tensor


def real_view(tensor: Tensor) -> Tensor:
    """The real and imaginary parts of a complex tensor, in the same memory if it is not a lazy conjugate."""
    return torch.view_as_real(tensor.resolve_conj()) if tensor.is_complex() else tensor


def can_be_non_finite(tensor: Tensor) -> bool:
    """Whether a tensor may contain NaN and infinity, and torch finds them: it does not in floats of 8 bits."""
    return (tensor.is_floating_point() or tensor.is_complex()) and tensor.dtype.itemsize > 1
