"""Shards the networks of a config, and checks what only the number of processes decides."""

from __future__ import annotations

from collections.abc import Collection
from typing import TYPE_CHECKING

import torch
from torch import nn

from artschool import ranks
from artschool.build.bind import on_device
from artschool.config.component import network_of
from artschool.config.parallel import methods_called, parallel_entry, parallel_of
from artschool.config.structure import Component, Config, EvaluationConfig
from artschool.engine.gathered import GatherPrecision
from artschool.engine.gathered_methods import blame_wrap, gather_for_methods
from artschool.engine.memory_format import use_channels_last
from artschool.engine.meshes import Meshes
from artschool.engine.precision import DTYPES
from artschool.engine.sharding import shard_network
from artschool.errors import ConfigError
from artschool.registry.network_entry import NetworkEntry

if TYPE_CHECKING:
    from torch.distributed.device_mesh import DeviceMesh


def meshes_of(config: Config, device: torch.device) -> dict[str, DeviceMesh | None]:
    """For each network, the mesh over which it is sharded. None: it is not."""
    meshes = Meshes(device)
    found = {}
    for name, component in config.networks.items():
        owner = component.node if parallel_entry(component).parallel is not None else config.tree.at(("train",))
        path = component.path if owner is component.node else "train"
        place = (owner.get("parallel") or owner).place
        found[name] = meshes.of(parallel_of(config, name), f"{place}: {path}.parallel")
    return found


def place(
    module: nn.Module,
    config: Config,
    name: str,
    mesh: DeviceMesh | None,
    device: torch.device,
    *,
    on_cpu: bool = False,
    is_average: bool = False,
) -> None:
    """Bring a network or its average to the device, with the values of rank 0, and shard it if it has a mesh.

    Args:
        on_cpu: Whether the parts of a sharded module are kept in the memory of the CPU.
        is_average: Whether it is an average, which is called without autocast.
    """
    component = config.networks[name]
    if mesh is None:
        on_device(module, device)
        ranks.broadcast([*module.parameters(), *module.buffers()])
        if _keeps_channels_last(component, config):
            use_channels_last(module)
        return
    wrap = parallel_entry(component).wrap
    path, dtype = f"{component.node.place}: {component.path}", DTYPES.get(config.sections.train.precision)
    lowered = shard_network(module, mesh, wrap, device, path, on_cpu=on_cpu, in_autocast=dtype is not None)
    before = None
    if lowered and dtype is not None and not is_average:
        before = GatherPrecision(module, lowered, device, dtype, path)
        module.register_forward_pre_hook(before, prepend=True)
    methods = methods_called(config, name)
    blame_wrap(module, methods, f"{(component.node.get('wrap') or component.node).place}: {component.path}.wrap")
    gather_for_methods(module, methods, before)


def _keeps_channels_last(component: Component, config: Config) -> bool:
    entry = component.entry
    assert isinstance(entry, NetworkEntry)
    return config.sections.train.channels_last if entry.channels_last is None else entry.channels_last


def check_even(evaluation: EvaluationConfig, sharded: Collection[str], number: int) -> None:
    """Refuse a metric that calls a sharded network if some processes have fewer batches: it cannot ignore one."""
    count = ranks.world_size()
    for metric in evaluation.metrics.values() if number % count else ():
        called = [use.name for use in metric.networks if network_of(use.name) in sharded]
        if called:
            raise ConfigError(
                f"{metric.node.place}: {metric.path}: calls {called[0]!r}, which is sharded, and {number} batches "
                f"cannot be divided evenly among {count} processes. Fix: set a `batch_size` of "
                f"`data.{evaluation.section.data}` that gives a multiple, or write `parallel: replicate` for "
                f"{called[0]!r}"
            )
