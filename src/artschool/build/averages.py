"""Where averages are kept, and what may call them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import partial
from typing import TYPE_CHECKING

import torch
from torch import nn

from artschool.build.shards import place
from artschool.config.structure import Config
from artschool.engine.ema import Ema
from artschool.engine.hooks import hooks
from artschool.engine.train_step import TrainStep
from artschool.errors import ConfigError

if TYPE_CHECKING:
    from torch.distributed.device_mesh import DeviceMesh


def place_averages(
    emas: Mapping[str, Ema], config: Config, meshes: Mapping[str, DeviceMesh | None], device: torch.device
) -> None:
    """Bring averages to the device, and then to the memory of the CPU if the file says so."""
    is_offloaded = config.sections.train.offload.ema is not None
    for name, ema in emas.items():
        place(ema.module, config, name, meshes[name], device, on_cpu=is_offloaded, is_average=True)
        if is_offloaded:
            ema.offload()


def provide_averages(networks: Mapping[str, nn.Module], emas: Mapping[str, Ema], config: Config) -> None:
    """Give networks their averages through the hook `provide_ema`."""
    for name, hook in hooks({name: networks[name] for name in emas}, "provide_ema"):
        if emas[name].offloaded is not None:
            raise ConfigError(
                f"{config.networks[name].node.place}: networks.{name}: its code has `provide_ema` and may call the "
                "average, which `train.offload` keeps in the memory of the CPU. Fix: remove `train.offload.ema`"
            )
        hook(emas[name].module)


def order_updates(steps: Iterable[TrainStep], emas: Mapping[str, Ema]) -> None:
    """Let the update of a network wait on the device until an average in the memory of the CPU has followed it."""
    for step in steps:
        for name in step.networks:
            if step.update is not None and name in emas and emas[name].offloaded is not None:
                step.update.optimizer.register_step_pre_hook(partial(_join, emas[name]))


def _join(ema: Ema, *_: object) -> None:
    ema.join()
