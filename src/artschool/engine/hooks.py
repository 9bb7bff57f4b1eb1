"""Methods that a network may define to take part in training. The trainer calls those that exist."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

from torch import Tensor, nn

from artschool.steps.call import describe_value


class NetworkHooks(Protocol):
    """The hooks. Names are those of DL-Art-School. `step` is the iteration, counted from 0."""

    def network_loaded(self) -> None:
        """Called after pretrained weights are loaded."""

    def provide_ema(self, module: nn.Module) -> None:
        """Called once, when the run is built, with the moving average of the network."""

    def update_for_step(self, step: int, folder: Path) -> None:
        """Called at the start of each iteration with the run folder."""

    def before_step(self, step: int) -> None:
        """Called at the start of each step that trains this network."""

    def after_backward(self, step: int) -> None:
        """Called when all gradients of the step are complete, before they are clipped."""

    def after_step(self, step: int) -> None:
        """Called after the optimizer of the step has updated the parameters."""

    def get_debug_values(self, step: int, name: str) -> Mapping[str, float | Tensor]:
        """Return numbers to log, by name. Called at each log point; `name` is the network's name in the config."""

    def get_grad_norm_parameter_groups(self) -> Mapping[str, Sequence[nn.Parameter]]:
        """Return groups of parameters, by name. The gradient norm of each group is logged."""

    def visual_dbg(self, step: int, folder: Path) -> None:
        """Called when images are logged; may write files to `folder`, the run folder."""


def hooks(networks: Mapping[str, nn.Module], name: str) -> list[tuple[str, Callable[..., Any]]]:
    """The hooks of a given name, each with the name of the network that defines it."""
    return [
        (key, getattr(network, name)) for key, network in networks.items() if callable(getattr(network, name, None))
    ]


def logged(where: str, values: Any) -> dict[str, float]:
    """The numbers that a hook or a callback returns at a log point, or None; may wait for the device.

    Raises:
        TypeError: It returns something else.
    """
    if not isinstance(values, Mapping | None):
        raise TypeError(f"{where}: expected a mapping of numbers by name, got {describe_value(values)}")
    return {name: float(value) for name, value in (values or {}).items()}
