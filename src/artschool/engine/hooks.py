"""What a network may define to take part in training. Every method is optional; the trainer calls those that exist."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

from torch import Tensor, nn


class NetworkHooks(Protocol):
    """The hooks, with the names that networks of DL-Art-School use. `step` is the iteration, counted from 0."""

    def network_loaded(self) -> None:
        """Weights were loaded."""

    def provide_ema(self, module: nn.Module) -> None:
        """Take the network's moving average, once, when the run is built."""

    def update_for_step(self, step: int, folder: Path) -> None:
        """An iteration begins; `folder` is the run's."""

    def before_step(self, step: int) -> None:
        """A step that trains this network begins."""

    def after_backward(self, step: int) -> None:
        """All gradients of the step are there, not yet clipped."""

    def after_step(self, step: int) -> None:
        """The optimizer of the step has moved."""

    def get_debug_values(self, step: int, name: str) -> Mapping[str, float | Tensor]:
        """Numbers for the log, at a log point; `name` is the network's in the file."""

    def get_grad_norm_parameter_groups(self) -> Mapping[str, Sequence[nn.Parameter]]:
        """Groups of parameters whose gradient norm is logged."""

    def visual_dbg(self, step: int, folder: Path) -> None:
        """Pictures are due; write what you like into `folder`."""


def hooks(networks: Mapping[str, nn.Module], name: str) -> list[tuple[str, Callable[..., Any]]]:
    """The hooks of one name that networks define, with the names of their networks."""
    return [
        (key, getattr(network, name)) for key, network in networks.items() if callable(getattr(network, name, None))
    ]
