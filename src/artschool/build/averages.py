"""Moving averages: how they are built, where they are kept, and what may call them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import partial
from typing import TYPE_CHECKING

import torch
from torch import nn

from artschool.build.shards import place
from artschool.config.average_sections import Average
from artschool.config.structure import Config
from artschool.engine.ema import Ema
from artschool.engine.hooks import hooks
from artschool.engine.train_context import TrainContext
from artschool.engine.train_step import TrainStep
from artschool.errors import ConfigError
from artschool.registry.schedule import Schedule

if TYPE_CHECKING:
    from torch.distributed.device_mesh import DeviceMesh


def build_averages(config: Config, networks: Mapping[str, nn.Module], context: TrainContext) -> dict[str, Ema]:
    """The moving averages of the section `ema`."""
    return {
        entry: _average(config, average, networks[average.of], context) for entry, average in config.averages.items()
    }


def _average(config: Config, average: Average, network: nn.Module, context: TrainContext) -> Ema:
    try:
        ema = Ema(network, average.decay_at(0), average.buffers, average.of, average.name, average.due)
    except ConfigError as error:
        at = config.tree.at(("ema", "networks")).place
        raise ConfigError(f"{at}: ema.networks: {average.of!r} {error}") from error
    if average.start or isinstance(average.decay, Schedule):
        context.schedule(f"ema.networks.{average.entry}.decay", average.decay_at, ema.set_decay)
    return ema


def place_averages(
    emas: Iterable[Ema], config: Config, meshes: Mapping[str, DeviceMesh | None], device: torch.device
) -> None:
    """Bring averages to the device, and then to the memory of the CPU if the file says so."""
    is_offloaded = config.sections.train.offload.ema is not None
    for ema in emas:
        place(ema.module, config, ema.of, meshes[ema.of], device, on_cpu=is_offloaded, is_average=True)
        if is_offloaded:
            ema.offload()


def provide_averages(networks: Mapping[str, nn.Module], emas: Mapping[str, Ema], config: Config) -> None:
    """Give networks their averages, or the first of several, through the hook `provide_ema`."""
    first = {ema.of: ema for ema in reversed(list(emas.values()))}
    for name, hook in hooks({name: networks[name] for name in first}, "provide_ema"):
        if first[name].offloaded is not None:
            raise ConfigError(
                f"{config.networks[name].node.place}: networks.{name}: its code has `provide_ema` and may call the "
                "average, which `train.offload` keeps in the memory of the CPU. Fix: remove `train.offload.ema`"
            )
        hook(first[name].module)


def order_updates(steps: Iterable[TrainStep], emas: Iterable[Ema]) -> None:
    """Let the update of a network wait on the device until averages in the memory of the CPU have followed it."""
    offloaded = [ema for ema in emas if ema.offloaded is not None]
    for step in steps:
        for ema in offloaded:
            if step.update is not None and ema.of in step.networks:
                step.update.optimizer.register_step_pre_hook(partial(_join, ema))


def _join(ema: Ema, *_: object) -> None:
    ema.join()
