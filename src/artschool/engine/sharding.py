"""Sharded networks: each process has a part of every parameter, by torch's `fully_shard` (FSDP2).

A module whose parameters are gathered and freed together is a unit. The whole network is one, and so is each module
that `wrap` names. Outside of a forward or backward pass, parameters are DTensors: `named_parameters()` gives the same
objects in every iteration, with the shapes and names of the whole network.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import wraps
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import _disable_current_modes

from artschool import ranks
from artschool.engine.gathered import GatherPrecision, is_lowered
from artschool.engine.identities import tables_of
from artschool.engine.module_patterns import outermost, outermost_matching
from artschool.engine.unregistered import unregistered
from artschool.errors import ConfigError
from artschool.registry.entries import Parallel, ShardEntry

if TYPE_CHECKING:
    from torch.distributed.device_mesh import DeviceMesh
    from torch.distributed.fsdp import FSDPModule

LEAST_OF_UNIT = 1_000_000
"""Number of parameters from which a module of a list is a unit, if the file names no units."""
CONTAINERS = (nn.Sequential, nn.ModuleList, nn.ModuleDict)


class Meshes:
    """The device meshes of a run, each made once."""

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self._meshes: dict[tuple[int, ...], DeviceMesh] = {}

    def of(self, parallel: Parallel, path: str) -> DeviceMesh | None:
        """The mesh over which a network is sharded. None: every process has the whole network, as a single one has.

        Args:
            path: Location and path of the option, for errors.

        Raises:
            ConfigError: The numbers of the file do not fit the number of processes.
        """
        count = ranks.world_size()
        if count == 1 or parallel == "replicate":
            return None
        groups = parallel if isinstance(parallel, ShardEntry) else ShardEntry(shard=count)
        if groups.shard * groups.replicate != count:
            raise ConfigError(
                f"{path}: {{shard: {groups.shard}, replicate: {groups.replicate}}} needs "
                f"{groups.shard * groups.replicate} processes, and this run has {count}. "
                f"Fix: start {groups.shard * groups.replicate} processes, or write `shard` for any number"
            )
        if groups.shard == 1:
            return None
        shape = (groups.shard,) if groups.replicate == 1 else (groups.replicate, groups.shard)
        if shape not in self._meshes:
            self._meshes[shape] = _mesh(self._device, shape)
        return self._meshes[shape]


def _mesh(device: torch.device, shape: tuple[int, ...]) -> DeviceMesh:
    from torch.distributed.device_mesh import init_device_mesh

    with _disable_current_modes():  # A trace makes tensors without values; a mesh reads those of its ranks.
        return init_device_mesh(device.type, shape, mesh_dim_names=("replicate", "shard")[-len(shape) :])


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
    dtype: torch.dtype | None = None,
    is_trained: bool = True,
) -> Callable[..., None] | None:
    """Divide the parameters of a network among the processes of a mesh, with the values of rank 0.

    No process but rank 0 has more than one unit as a whole. Gradients are summed, since losses are multiplied by
    shares. Parameters without dimensions are not divided. Buffers are not either; they get the values of rank 0.

    With a `dtype`, units whose matrices autocast would round are gathered in it. Their other parameters, which have one
    dimension, are not divided, so that they keep the precision that autocast gives them.

    Args:
        mesh: 1-D, or 2-D with the dimensions `replicate` and `shard`.
        wrap: Patterns of the names of units. None: the modules of a list or `Sequential` with a million parameters.
        device: The device of this process.
        path: Location and path of the network in the config file, for errors.
        on_cpu: Whether the own parts are kept in the memory of the CPU and copied to the device to be gathered.
        dtype: The type of 16 bits that autocast uses in training. None: there is no autocast.
        is_trained: Whether the network is called in training. An average is divided likewise, but never rounded.

    Returns:
        What must be called before each call of the network. None: nothing.

    Raises:
        ConfigError: A pattern matches no module or one that cannot be a unit, or torch cannot shard a parameter.
    """
    from torch.distributed.fsdp import CPUOffloadPolicy, OffloadPolicy, fully_shard

    policy = CPUOffloadPolicy(pin_memory=device.type == "cuda") if on_cpu else OffloadPolicy()
    inner = units_of(network, wrap, path)
    outside = {module for unit in inner.values() for module in unit.modules()}
    lowered: list[nn.Module] = []
    for name, unit in {**inner, "": network}.items():
        _take_values_of_main(unit, device)
        before = dict(unit.named_parameters())
        least = 1
        if dtype is not None and is_lowered(unit, () if name else outside):
            lowered.append(unit)
            least = 2
        whole = {parameter for parameter in before.values() if parameter.dim() < least}
        try:
            sharded = fully_shard(
                unit, mesh=mesh, reshard_after_forward=True, offload_policy=policy, ignored_params=whole
            )
        except (ValueError, NotImplementedError, AssertionError, RuntimeError) as error:
            what = f"the module {name!r}" if name else "the network"
            raise ConfigError(f"{path}: {what} cannot be sharded: {error}. Fix: write `parallel: replicate`") from error
        sharded.set_gradient_divide_factor(1.0)
        sharded.set_force_sum_reduction_for_comms(True)
        _keep_marks(before, unit)
    if not lowered or dtype is None or not is_trained:
        return None
    choose = GatherPrecision(network, lowered, device, dtype, path)
    network.register_forward_pre_hook(choose, prepend=True)
    return choose


def units_of(network: nn.Module, wrap: Sequence[str] | None, path: str) -> dict[str, nn.Module]:
    """The modules of a network that are gathered on their own, by name.

    Raises:
        ConfigError: A pattern matches no module, a module without forward, or one that shares its parameters.
    """
    if wrap is None:
        large = {name: module for name, module in _listed_modules(network) if _size(module) >= LEAST_OF_UNIT}
        return {n: m for n, m in outermost(large).items() if _has_forward(m) and not _shares(network, m)}
    units = outermost_matching(network, wrap, f"{path}.wrap")
    for name, module in units.items():
        if not _has_forward(module):
            raise ConfigError(
                f"{path}.wrap: {name!r} has no forward (it is a {type(module).__name__}). "
                f"Fix: write '{name}.*' for the modules in it"
            )
        if _shares(network, module):
            raise ConfigError(
                f"{path}.wrap: {name!r} shares a parameter with a module outside of it, so it cannot be gathered on "
                "its own. Fix: leave it out"
            )
    return units


def sharded_networks(networks: Iterable[nn.Module]) -> list[FSDPModule]:
    """The networks that `shard_network` has divided."""
    return [network for network in networks if hasattr(network, "set_requires_gradient_sync")]  # type: ignore[misc]  # FSDP2 adds its methods to the class


def set_gradient_sync(networks: Iterable[FSDPModule], *, enabled: bool) -> None:
    """Set whether the next backward pass of sharded networks sums gradients over processes or only keeps them.

    Kept gradients have the size of the whole network.
    """
    for network in networks:
        network.set_requires_gradient_sync(enabled)


def gather_for_methods(network: nn.Module, names: Iterable[str], before: Callable[..., None] | None = None) -> None:
    """Let methods of a sharded network find its parameters gathered, as its forward does.

    A method may call the network or another one of these methods. Names of no method are left out.

    Args:
        before: Called before a method gathers parameters.
    """
    methods = {name: getattr(network, name) for name in sorted(names) if callable(getattr(network, name, None))}
    if not methods:
        return
    inside = _Inside()
    network.forward = inside.entered(network.forward)
    for name, method in methods.items():
        setattr(network, name, inside.entered(method))
        outside = _gathered(network, name, before or _nothing)
        setattr(network, name, inside.choose(inside=method, outside=outside))


def _nothing() -> None:
    """What a network without 16 bits needs before a call."""


def _gathered(network: nn.Module, name: str, before: Callable[..., None]) -> Callable[..., Any]:
    """A method that gathers the parameters before it runs and frees them once it has returned."""
    from torch.distributed.fsdp import FSDPModule, register_fsdp_forward_method

    assert isinstance(network, FSDPModule)
    sharded = network
    register_fsdp_forward_method(network, name)
    method = getattr(network, name)

    @wraps(method)
    def gathered(*args: Any, **named: Any) -> Any:
        # If the method calls the network, torch would free the parameters after that call already.
        before()
        sharded.set_reshard_after_forward(False, recurse=False)
        try:
            return method(*args, **named)
        finally:
            sharded.set_reshard_after_forward(True, recurse=False)
            sharded.reshard()

    return gathered


class _Inside:
    """Whether a call of a network is running, so that an inner call must not gather and free the parameters."""

    def __init__(self) -> None:
        self._is_inside = False

    def entered(self, call: Callable[..., Any]) -> Callable[..., Any]:
        """The call, which sets the flag while it runs."""

        @wraps(call)
        def entered(*args: Any, **named: Any) -> Any:
            before, self._is_inside = self._is_inside, True
            try:
                return call(*args, **named)
            finally:
                self._is_inside = before

        return entered

    def choose(self, *, inside: Callable[..., Any], outside: Callable[..., Any]) -> Callable[..., Any]:
        """One call for the code of the network, and another one for everything else."""

        @wraps(inside)
        def chosen(*args: Any, **named: Any) -> Any:
            return (inside if self._is_inside else outside)(*args, **named)

        return chosen


def _listed_modules(network: nn.Module) -> Iterable[tuple[str, nn.Module]]:
    """The modules in lists, dicts and sequences of modules, with their names."""
    parents = {name: isinstance(module, CONTAINERS) for name, module in network.named_modules()}
    return [(n, m) for n, m in network.named_modules() if n and parents.get(n.rpartition(".")[0])]


def _has_forward(module: nn.Module) -> bool:
    return type(module).forward is not nn.Module.forward or "forward" in vars(module)


def _size(module: nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


def _shares(network: nn.Module, unit: nn.Module) -> bool:
    """Whether a parameter of a module also belongs to a module outside of it."""
    own, inside = set(unit.parameters()), set(unit.modules())
    outside = (module for module in network.modules() if module not in inside)
    return any(parameter in own for module in outside for parameter in module._parameters.values())


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
