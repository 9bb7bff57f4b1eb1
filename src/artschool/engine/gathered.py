"""The precision in which sharded networks gather weights: 16 bits where autocast would round them anyway."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.linear import NonDynamicallyQuantizableLinear
from torch.utils._pytree import tree_map_only

from artschool.engine.exchange import references
from artschool.errors import StateError

LOWERED: Mapping[type[nn.Module], str] = {
    nn.Linear: "weight",
    NonDynamicallyQuantizableLinear: "weight",
    nn.Conv1d: "weight",
    nn.Conv2d: "weight",
    nn.Conv3d: "weight",
    nn.ConvTranspose1d: "weight",
    nn.ConvTranspose2d: "weight",
    nn.ConvTranspose3d: "weight",
    nn.MultiheadAttention: "in_proj_weight",
}
"""Modules that use a parameter only in operations for which autocast rounds it to 16 bits. Subclasses may do more."""


def is_lowered(unit: nn.Module, outside: Collection[nn.Module] = ()) -> bool:
    """Whether autocast rounds all matrices of a unit. Other parameters have fewer than two dimensions.

    Args:
        outside: Modules that are units of their own, with all modules in them.
    """
    owned = [
        (LOWERED.get(type(module)), name)
        for module in unit.modules()
        if module not in outside
        for name, parameter in module.named_parameters(recurse=False)
        if parameter.dim() > 1
    ]
    return bool(owned) and all(known == name for known, name in owned)


class GatherPrecision:
    """Lets a sharded network gather units in 16 bits while autocast is on, and in float32 otherwise.

    Call it before each call of the network.

    Args:
        network: A network that torch has sharded.
        units: The units that `is_lowered`.
        device: The device of this process.
        dtype: The type of 16 bits.
        path: Location and path of the network in the config file, for errors.
    """

    def __init__(
        self, network: nn.Module, units: Collection[nn.Module], device: torch.device, dtype: torch.dtype, path: str
    ) -> None:
        self._states = [_state(module) for module in (network, *units)]
        self._units = [_state(unit)._fsdp_param_group for unit in units]
        self._device_type = device.type
        self._dtype = dtype
        self._now: torch.dtype | None = None
        self._path = path

    def __call__(self, *_: Any) -> None:
        """Choose the precision of the call that follows. A call within a call has that of the outer one.

        Raises:
            StateError: A backward pass still needs weights in the other precision.
        """
        self._states[0]._lazy_init()
        wanted = self._dtype if torch.is_autocast_enabled(self._device_type) else None
        if wanted is self._now or not all(unit.is_sharded for unit in self._units):
            return
        if any(references(memory) > _unused() for memory in self._memory()):
            raise StateError(
                f"{self._path}: a sharded network is called with autocast and without before one backward pass. "
                "Fix: write `parallel: replicate` for the network"
            )
        for unit in self._units:
            unit._orig_dtype = unit._reduce_dtype = torch.float32
            for parameter in unit.fsdp_params:
                parameter.param_dtype, parameter.reduce_dtype = wanted, torch.float32
                parameter.all_gather_outputs = []
                vars(parameter).pop("_unsharded_param", None)
        self._now = wanted

    def _memory(self) -> Iterator[Tensor]:
        """The memory into which weights have been gathered."""
        for unit in self._units:
            for parameter in unit.fsdp_params:
                yield from parameter.all_gather_outputs


def without_views(result: Any) -> Any:
    """The result of a call with copies of tensors that are views. Called before torch adds its hooks to them.

    A later operation in place would remove the hook of a view, by which the backward pass gathers the parameters.
    """
    return tree_map_only(Tensor, lambda x: x.clone() if x.requires_grad and x._is_view() else x, result)


def _state(module: nn.Module) -> Any:
    """What torch keeps for a unit. It offers no way to change the precision of one."""
    get_state: Callable[[], Any] = module._get_fsdp_state  # type: ignore[assignment]  # a method of FSDPModule
    return get_state()


def _unused() -> int:
    """The number of references to the memory of a gathered weight that no backward pass needs."""
    memory = torch.empty(1)
    parameter = nn.Parameter(torch.as_strided(memory, (1,), (1,), 0))
    count = references(memory)
    del parameter
    return count
