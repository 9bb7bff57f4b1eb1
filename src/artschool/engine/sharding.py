"""Sharded networks: each process has a part of every parameter, by torch's `fully_shard` (FSDP2).

Parameters are gathered by unit. The whole network is one, and so is each module that `wrap` names. Outside of a forward
or backward pass, parameters are DTensors: `named_parameters()` gives the same objects in every iteration, with the
shapes and names of the whole network.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from artschool import ranks
from artschool.engine.gathered import is_lowered, without_views
from artschool.engine.identities import tables_of
from artschool.engine.units import units_of
from artschool.engine.unregistered import unregistered
from artschool.errors import ConfigError

if TYPE_CHECKING:
    from torch.distributed.device_mesh import DeviceMesh
    from torch.distributed.fsdp import FSDPModule, OffloadPolicy


def build_for_shards(build: Callable[[], nn.Module]) -> nn.Module:
    """Build a network that `shard_network` divides: with its values in rank 0, without memory in the other processes.

    A network that cannot be built on the meta device, or that hides tensors in plain attributes, is built everywhere.
    """
    if ranks.is_main():
        return build()
    try:
        with torch.device("meta"):
            network = build()
    except Exception:  # The code of the network may raise anything on the meta device.
        return build()
    return build() if any(True for _ in unregistered(network)) else network


def has_values(network: nn.Module) -> bool:
    """Whether a network has values, which it lacks where `build_for_shards` has built it on the meta device."""
    return not any(tensor.is_meta for tensor in (*network.parameters(), *network.buffers()))


def shard_network(
    network: nn.Module,
    mesh: DeviceMesh,
    wrap: Sequence[str] | None,
    device: torch.device,
    path: str = "",
    *,
    on_cpu: bool = False,
    in_autocast: bool = False,
) -> list[nn.Module]:
    """Divide the parameters of a network among the processes of a mesh, with the values of rank 0.

    No process but rank 0 has more than one unit as a whole. Gradients are summed, since losses are multiplied by
    shares. Parameters without dimensions are not divided. Buffers are not either; they get the values of rank 0.

    Units whose matrices autocast rounds can be gathered in its 16 bits: see `GatherPrecision`. Their other parameters,
    which have one dimension, are not divided, so that they keep the precision that autocast gives them.

    Args:
        mesh: 1-D, or 2-D with the dimensions `replicate` and `shard`.
        wrap: Patterns of the names of units. None: the modules of a list or `Sequential` with a million parameters.
        device: The device of this process.
        path: Location and path of the network in the config file, for errors.
        on_cpu: Whether the own parts are kept in the memory of the CPU and copied to the device to be gathered.
        in_autocast: Whether training calls the network in autocast.

    Returns:
        The units that can be gathered in 16 bits: none without autocast.

    Raises:
        ConfigError: A pattern matches no module or one that cannot be a unit, or torch cannot shard a parameter or
            those of a unit together.
    """
    from torch.distributed.fsdp import CPUOffloadPolicy, OffloadPolicy

    policy = CPUOffloadPolicy(pin_memory=device.type == "cuda") if on_cpu else OffloadPolicy()
    inner = units_of(network, wrap, path)
    outside = {module for unit in inner.values() for module in unit.modules()}
    lowered: list[nn.Module] = []
    for name, unit in {**inner, "": network}.items():
        _take_values_of_main(unit, device)
        dimensions = 1
        if in_autocast and is_lowered(unit, () if name else outside):
            lowered.append(unit)
            dimensions = 2
        where = f"{path}: the module {name!r}" if name else f"{path}: the network"
        _shard_unit(unit, mesh, policy, dimensions, where)
    return lowered


def _shard_unit(unit: nn.Module, mesh: DeviceMesh, policy: OffloadPolicy, dimensions: int, where: str) -> None:
    """Divide the parameters of a unit that have at least so many dimensions."""
    from torch.distributed.fsdp import fully_shard

    before = dict(unit.named_parameters())
    unit.register_forward_hook(_return_no_views)
    whole = {parameter for parameter in before.values() if parameter.dim() < dimensions}
    divided = [each for each in before.values() if each.requires_grad and each not in whole]
    dtypes = {str(parameter.dtype).removeprefix("torch.") for parameter in divided if not ranks.is_sharded(parameter)}
    if len(dtypes) > 1:  # torch says so in the first call.
        raise ConfigError(
            f"{where} cannot be sharded: it trains parameters of the types {' and '.join(sorted(dtypes))}, which torch "
            "cannot gather together. Fix: name the modules of one type in `wrap`, or write `parallel: replicate`"
        )
    try:
        sharded = fully_shard(unit, mesh=mesh, reshard_after_forward=True, offload_policy=policy, ignored_params=whole)
    except (ValueError, NotImplementedError, AssertionError, RuntimeError) as error:
        raise ConfigError(f"{where} cannot be sharded: {error}. Fix: write `parallel: replicate`") from error
    sharded.set_gradient_divide_factor(1.0)
    sharded.set_force_sum_reduction_for_comms(True)
    _keep_marks(before, unit)


def _return_no_views(_module: nn.Module, _inputs: Any, result: Any) -> Any:
    return without_views(result)


def sharded_networks(networks: Iterable[nn.Module]) -> list[FSDPModule]:
    """The networks that `shard_network` has divided."""
    return [network for network in networks if hasattr(network, "set_requires_gradient_sync")]  # type: ignore[misc]  # FSDP2 adds its methods to the class


def innermost_units(network: nn.Module) -> dict[str, nn.Module]:
    """The units of a sharded network that contain no other unit, by name. Empty: it is not sharded."""
    units = {name: unit for name, unit in network.named_modules() if sharded_networks([unit])}
    return {name: unit for name, unit in units.items() if len(sharded_networks(unit.modules())) == 1}


def reshard(networks: Iterable[nn.Module]) -> None:
    """Free what sharded networks have gathered, such as in a pass that has failed. Nothing is communicated."""
    for unit in sharded_networks(module for network in networks for module in network.modules()):
        unit.reshard()


def set_gradient_sync(networks: Iterable[FSDPModule], *, enabled: bool) -> None:
    """Set whether the next backward pass of sharded networks sums gradients over processes or only keeps them.

    Kept gradients have the size of the whole network.
    """
    for network in networks:
        network.set_requires_gradient_sync(enabled)


def _take_values_of_main(unit: nn.Module, device: torch.device) -> None:
    """Give every tensor of a unit that is not sharded yet the value of rank 0, on the device."""
    moved: dict[Tensor, Tensor] = {}
    for module in unit.modules():
        for table in tables_of(module)[:2]:
            for name, tensor in list(table.items()):
                if tensor is None or ranks.is_sharded(tensor):
                    continue
                if tensor not in moved:
                    moved[tensor] = _with_memory(tensor, device)
                if moved[tensor] is not tensor:
                    setattr(module, name, moved[tensor])  # Not into the table: an LSTM keeps a list of its weights.
    ranks.broadcast(moved.values())


def _with_memory(tensor: Tensor, device: torch.device) -> Tensor:
    if tensor.device == device:
        return tensor
    values = torch.empty_like(tensor, device=device) if tensor.is_meta else tensor.detach().to(device)
    if not isinstance(tensor, nn.Parameter):
        return values
    parameter = nn.Parameter(values, requires_grad=tensor.requires_grad)
    vars(parameter).update(vars(tensor))
    return parameter


def _keep_marks(before: Mapping[str, nn.Parameter], unit: nn.Module) -> None:
    """Copy what the code of the network has marked parameters with, such as `PARAM_GROUP`."""
    for name, parameter in unit.named_parameters():
        if parameter is not before[name]:
            vars(parameter).update(vars(before[name]))
