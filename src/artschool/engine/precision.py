"""Numerical precision of a step: autocast, and a gradient scaler for fp16."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from typing import Any, Literal

import torch
from torch import Tensor
from torch.optim import Optimizer

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
        """Backpropagate. With fp16, the loss is scaled first."""
        self.scaled(loss).backward()  # type: ignore[no-untyped-call]  # torch

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
