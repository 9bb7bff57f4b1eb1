"""Builds a run from a checked config."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

import torch
from torch import nn

from artschool import ranks
from artschool.build.averages import build_averages, order_updates, place_averages, provide_averages
from artschool.build.bind import Binder, construct_seeded
from artschool.build.data import build_data, build_streams, check_epoch
from artschool.build.decisions import decisions_of, key_gates, number_gates
from artschool.build.device import choose_device
from artschool.build.evaluations import build_evaluations
from artschool.build.networks import build_networks, partly_saved, set_modes
from artschool.build.processes import start_processes
from artschool.build.same import require_same_data, require_same_file
from artschool.build.shards import meshes_of, place
from artschool.build.steps import build_steps
from artschool.build.torch_flags import set_torch_flags
from artschool.build.updates import batch_sizings, build_updates
from artschool.config.origin import CONFIG_FILE, RESOLVED_FILE
from artschool.config.parallel import methods_called
from artschool.config.secrets import text_without_secrets
from artschool.config.standalone import standalone_text
from artschool.config.streams import TRAIN
from artschool.config.structure import Config
from artschool.data.examples import Missing
from artschool.data.loader import Loader
from artschool.diff.settings import settings_of
from artschool.engine.ema import Ema
from artschool.engine.kept_buffers import KeptBuffers
from artschool.engine.meters import Meters
from artschool.engine.observe import Observer
from artschool.engine.run import Run
from artschool.engine.streams import Streams
from artschool.engine.train_context import TrainContext

Note = Callable[[str], None]


def build(
    config: Config,
    folder: Path,
    *,
    source: str = "",
    note: Note = lambda message: None,
    device: torch.device | None = None,
    loaders: Mapping[str, Loader] | None = None,
    trains: bool = True,
) -> Run:
    """Build the networks, data, optimizers, steps and evaluations of a checked config. Writes no files.

    Args:
        config: The checked config.
        folder: The run folder.
        source: The text of the config file.
        note: Called with messages for the user, such as a report of loaded weights.
        device: The device to train on. None: the device of `train.device`.
        loaders: The data by name. None: the result of `build_data`.
        trains: Whether all data sets must be there. Otherwise, one that cannot be built is an error when it is used.

    Raises:
        ArtschoolError: A fault that only building can find, such as an empty data set or weights that do not fit.
    """
    file = config.sections
    device = device or choose_device(config)
    start_processes(device, note)
    require_same_file(config)
    set_torch_flags(file.train, device)
    context = TrainContext(device, Meters())
    observer = Observer({name: sorted(methods_called(config, name)) for name in config.networks})
    if loaders is None:
        loaders = build_data(config, note=lambda remark: note(f"note: {remark}"), must_exist=trains)
    streams = _streams(config, loaders, observer)
    networks, emas = _networks(config, context, note)
    binder = Binder(networks | {ema.name: ema.module for ema in emas.values()}, context, seed=file.seed)
    updates, gates = build_updates(config, networks, context), number_gates(config)
    steps = build_steps(config, networks, binder, updates, gates)
    order_updates(steps, emas.values())
    _broadcast_initial_values(binder.modules.values())
    set_modes(networks, config)
    context.buffers = KeptBuffers(networks | binder.modules | _trained_along(emas))
    return Run(
        sections=file,
        folder=folder,
        networks=networks,
        steps=steps,
        emas=emas,
        modules=binder.modules | batch_sizings(steps) | key_gates(steps),
        decisions=decisions_of(config, gates, updates),
        streams=streams,
        evaluations=build_evaluations(config, binder, emas, loaders, note, observer),
        iterations=file.train.length(streams.by_name[TRAIN].batches.per_epoch),
        context=context,
        iteration=file.train.start_iteration,
        config=config.tree.masked(),
        settings=settings_of(config),
        config_texts={CONFIG_FILE: text_without_secrets(source), RESOLVED_FILE: standalone_text(config.tree)},
        partly_saved=partly_saved(config),
        observer=observer,
    )


def _streams(config: Config, loaders: Mapping[str, Loader], observer: Observer) -> Streams:
    """The data that the steps train on, the same in every process and seen by an observer."""
    require_same_data(loaders)
    streams = build_streams(config, loaders)
    streams.see = observer.see
    if not isinstance(loaders[TRAIN].dataset, Missing):
        check_epoch(config, streams.by_name[TRAIN].batches)
    return streams


def _networks(config: Config, context: TrainContext, note: Note) -> tuple[dict[str, nn.Module], dict[str, Ema]]:
    """The networks and their averages, on their devices."""
    meshes = meshes_of(config, context.device)
    networks = build_networks(config, note, {name for name, mesh in meshes.items() if mesh is not None})
    emas = build_averages(config, networks, context)
    for name, network in networks.items():
        place(network, config, name, meshes[name], context.device)
    place_averages(emas.values(), config, meshes, context.device)
    provide_averages(networks, emas, config)
    return networks, emas


def _trained_along(emas: Mapping[str, Ema]) -> dict[str, nn.Module]:
    """The averages with buffers of their own, in the modes of their networks: the steps call them in training."""
    averages = [ema for ema in emas.values() if ema.buffers == "own"]
    for ema in averages:
        ema.take_modes()
    return {ema.name: ema.module for ema in averages}


def build_loggers(config: Config) -> list[object]:
    """Build the loggers of the section `loggers`, which are added to the default ones."""
    seed = config.sections.seed
    return [construct_seeded(component, component.options(), seed=seed) for component in config.loggers.values()]


def _broadcast_initial_values(modules: Iterable[nn.Module]) -> None:
    """Give every process the parameters and buffers of rank 0."""
    for module in modules:
        ranks.broadcast([*module.parameters(), *module.buffers()])
