"""Numerical precision of a step: autocast, and a gradient scaler for fp16."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from typing import Any, Literal

import torch
from torch import Tensor
from torch.autograd.graph import _engine_run_backward
from torch.optim import Optimizer
from torch.overrides import has_torch_function

Kind = Literal["fp32", "bf16", "fp16"]
_FULL = nullcontext()
DTYPES = {"bf16": torch.bfloat16, "fp16": torch.float16}


class Precision:
    """The precision of a step. Weights, gradients and optimizer state are float32; autocast lowers operations.

    With fp16, the loss is scaled before backward, gradients are unscaled once before clipping, and the scale is updated
    once after the optimizer step.

    Source: Micikevicius et al. 2018, arXiv:1710.03740, section 3.2.
    """

    def __init__(self, kind: Kind, device: torch.device) -> None:
        self.kind = kind
        self._device_type = device.type
        self._scaler = torch.amp.GradScaler(device.type) if kind == "fp16" else None

    def autocast(self) -> AbstractContextManager[Any]:
        """The context of a forward pass."""
        if self.kind not in DTYPES:
            return _FULL
        return torch.autocast(self._device_type, dtype=DTYPES[self.kind])

    def backward(self, loss: Tensor) -> None:
        """Backpropagate a scalar that has a gradient. With fp16, the loss is scaled first."""
        _backward(self.scaled(loss))

    def scaled(self, loss: Tensor) -> Tensor:
        """The loss, with fp16 times its scale."""
        return loss if self._scaler is None else self._scaler.scale(loss)

    def unscale(self, optimizer: Optimizer) -> None:
        """Divide the gradients by the scale of the loss."""
        if self._scaler is not None:
            self._scaler.unscale_(optimizer)

    def update(self) -> None:
        """Update the scale: lower after an overflow, higher after many updates without one."""
        if self._scaler is not None:
            self._scaler.update()

    @property
    def scale(self) -> float:
        """The current scale of the loss; reading it waits for the device."""
        return 1.0 if self._scaler is None else self._scaler.get_scale()

    def state_dict(self) -> dict[str, Any]:
        """Scale and growth count."""
        return {} if self._scaler is None else self._scaler.state_dict()

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restore the result of `state_dict`."""
        if self._scaler is not None:
            self._scaler.load_state_dict(state)


def _backward(loss: Tensor) -> None:
    """`loss.backward()`, without what torch looks up in Python at each call, which takes as long as a small layer."""
    if has_torch_function((loss,)):
        loss.backward()  # type: ignore[no-untyped-call]  # torch
        return
    _engine_run_backward(
        (loss,),
        (torch.ones_like(loss),),
        False,  # Whether to keep the graph.
        False,  # Whether gradients have a graph of their own.
        (),  # No tensors in particular: all that require a gradient get it.
        allow_unreachable=True,
        accumulate_grad=True,
    )
