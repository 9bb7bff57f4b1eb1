"""The device meshes of a run: which processes share a sharded network."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch.utils._python_dispatch import _disable_current_modes

from artschool import ranks
from artschool.errors import ConfigError
from artschool.ranks import connections
from artschool.registry.network_entry import Parallel, ShardEntry

if TYPE_CHECKING:
    from torch.distributed.device_mesh import DeviceMesh


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

    # A trace makes tensors without values; a mesh reads those of its ranks.
    with _disable_current_modes(), connections.recorded():
        return init_device_mesh(device.type, shape, mesh_dim_names=("replicate", "shard")[-len(shape) :])
