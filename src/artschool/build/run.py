"""Builds a run from a checked config."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from artschool import ranks
from artschool.build.averages import build_averages, order_updates, place_averages, provide_averages
from artschool.build.bind import Binder, construct_seeded
from artschool.build.data import batches_of, build_data, build_streams, check_epoch
from artschool.build.decisions import decisions_of, key_gate_of, key_gates, number_gates
from artschool.build.device import choose_device
from artschool.build.networks import build_networks, partly_saved, set_modes
from artschool.build.same import require_same_data, require_same_file
from artschool.build.shards import check_even, meshes_of, place
from artschool.build.torch_flags import set_torch_flags
from artschool.build.updates import batch_sizings, build_updates
from artschool.config.flow import kept_after
from artschool.config.mean_over import early_injectors, first_late, is_counted
from artschool.config.origin import CONFIG_FILE, RESOLVED_FILE
from artschool.config.parallel import methods_called, sharded_networks
from artschool.config.ranges import Reading, misfit, undeclared_readings
from artschool.config.secrets import text_without_secrets
from artschool.config.standalone import standalone_text
from artschool.config.streams import TRAIN, other_streams, replaced_by
from artschool.config.structure import Config, EvaluationConfig, StepConfig
from artschool.data.examples import Missing
from artschool.data.loader import Loader
from artschool.diff.settings import settings_of
from artschool.engine.decisions import NumberGate, gated
from artschool.engine.ema import Ema
from artschool.engine.evaluate import Evaluation
from artschool.engine.kept_buffers import KeptBuffers
from artschool.engine.meters import Meters
from artschool.engine.observe import Observer
from artschool.engine.run import Run
from artschool.engine.run_state import Logger
from artschool.engine.samples import Samples
from artschool.engine.streams import Streams
from artschool.engine.train_context import TrainContext
from artschool.engine.train_step import TrainStep
from artschool.engine.update import Update
from artschool.errors import ResourceError
from artschool.registry.ranges import contradicts, measured
from artschool.steps.step import Step

Note = Callable[[str], None]
OPEN_LAUNCHER = (
    "torchrun listens on all network interfaces, without a password. Fix: to listen on this machine only, write "
    "`TORCH_DISABLE_SHARE_RDZV_TCP_STORE=1 torchrun --rdzv-backend c10d --rdzv-conf store_type=file --nproc-per-node "
    "...`"
)


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
    _start_processes(device, note)
    require_same_file(config)
    set_torch_flags(file.train, device)
    context = TrainContext(device, Meters())
    observer = Observer({name: sorted(methods_called(config, name)) for name in config.networks})
    if loaders is None:
        loaders = build_data(config, note=lambda remark: note(f"note: {remark}"), must_exist=trains)
    streams = _streams(config, loaders, observer)
    networks, emas = _networks(config, context, note)
    binder = Binder(networks | {ema.name: ema.module for ema in emas.values()}, context, seed=file.seed)
    kept, updates, gates = kept_after(config), build_updates(config, networks, context), number_gates(config)
    steps = [
        _step(step, config, networks, binder, kept[step.name], updates.get(step.name), gates)
        for step in config.steps.values()
    ]
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
        evaluations=[
            _evaluation(e, config, binder, emas, loaders[e.section.data], note, observer)
            for e in config.evaluations.values()
        ],
        iterations=file.train.length(streams.by_name[TRAIN].batches.per_epoch),
        context=context,
        iteration=file.train.start_iteration,
        config=config.tree.masked(),
        settings=settings_of(config),
        config_texts={CONFIG_FILE: text_without_secrets(source), RESOLVED_FILE: standalone_text(config.tree)},
        partly_saved=partly_saved(config),
        observer=observer,
    )


def _start_processes(device: torch.device, note: Note) -> None:
    """Connect the processes that a launcher has started."""
    if missing := ranks.missing_variable():
        raise ResourceError(
            f"the environment variable WORLD_SIZE is set, but {missing} is not. "
            "Fix: start the processes with torchrun, or unset WORLD_SIZE to train with one process"
        )
    ranks.start(device)
    if ranks.is_launcher_open():
        note(f"warning: {OPEN_LAUNCHER}")


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


def build_loggers(config: Config) -> list[Logger]:
    """Build the loggers of the section `loggers`, which are added to the default ones."""
    seed = config.sections.seed
    return [construct_seeded(component, component.options(), seed=seed) for component in config.loggers.values()]


def _broadcast_initial_values(modules: Iterable[nn.Module]) -> None:
    """Give every process the parameters and buffers of rank 0."""
    for module in modules:
        ranks.broadcast([*module.parameters(), *module.buffers()])


def _step(
    step: StepConfig,
    config: Config,
    networks: Mapping[str, nn.Module],
    binder: Binder,
    kept: set[str],
    update: Update | None,
    gates: Mapping[str, NumberGate],
) -> TrainStep:
    graph = _graph(step, config, binder, kept, training=True)
    for loss in graph.losses:
        loss.when = gated(loss.when, gates.get(f"{loss.path}.while"))
    trained = {name: networks[name] for name in step.section.trained}
    own_gate = gates.get(f"steps.{step.name}.while")
    whens = {name: gated(step.moves_when & config.networks[name].when, own_gate) for name in trained}
    callbacks = [binder.callback(component, trained) for component in step.callbacks.values()]
    key_gate, section = key_gate_of(step, binder.device), step.section
    return TrainStep(graph, trained, whens, update, callbacks, section.streams, section.repeat, key_gate)


def _graph(step: StepConfig, config: Config, binder: Binder, kept: Collection[str], *, training: bool) -> Step:
    counted = {loss.path: early_injectors(step, loss) for loss in step.losses.values() if is_counted(loss)}
    late = {loss.path for loss in step.losses.values() if is_counted(loss) and first_late(step, loss)}
    return Step(
        step.name,
        step.section.when,
        [binder.injector(component) for component in step.injectors_when(training=training)],
        [binder.loss(component, step.name, name) for name, component in step.losses.items()],
        frozenset(kept),
        step.section.requires,
        frozenset(injector.path for path in counted.keys() - late for injector in counted[path]),
        frozenset(late),
        [binder.injector(component) for component in step.late_injectors_when(training=training)],
        {f"{step.name}/{loss}": stream for loss, stream in other_streams(config, step).items()} if training else {},
    )


def _evaluation(
    evaluation: EvaluationConfig,
    config: Config,
    training: Binder,
    emas: Mapping[str, Ema],
    loader: Loader,
    note: Note,
    observer: Observer,
) -> Evaluation:
    binder = training.for_evaluation(config.averages_in(evaluation))
    batches = batches_of(config.data[evaluation.section.data], loader, training=False)
    sharded = sharded_networks(config)
    check_even(evaluation, sharded, batches.per_epoch)
    return Evaluation(
        name=evaluation.name,
        every=evaluation.section.every,
        loader=loader,
        batches=batches,
        steps=[_graph(config.steps[name], config, binder, (), training=False) for name in evaluation.section.steps],
        injectors=[binder.injector(component) for component in evaluation.injectors.values()],
        metrics={name: binder.metric(component) for name, component in evaluation.metrics.items()},
        networks=[*binder.used, *binder.modules.values()],
        check_values=partial(_check_values, undeclared_readings(config, evaluation), note),
        is_even=bool(sharded),
        channels_last=config.sections.train.channels_last,
        averages=[ema for ema in emas.values() if any(network is ema.module for network in binder.used)],
        streams=replaced_by(config, evaluation),
        samples=_samples(evaluation, batches.batch_size),
        see=partial(observer.see, evaluation.section.data),
    )


def _samples(evaluation: EvaluationConfig, batch_size: int) -> Samples | None:
    """What is kept of the samples that an evaluation shows."""
    shown = evaluation.section.shown.values()
    keys = {name for section in shown for key in section.read for name in (key, f"{key}_lengths")}
    return Samples(sorted(keys), max(section.most for section in shown), batch_size) if keys else None


def _check_values(readings: Sequence[Reading], note: Note, values: Mapping[str, Any]) -> None:
    """Warn about data of an evaluation that hardly has the range that a metric expects."""
    for reading in readings:
        value = values.get(reading.use.name)
        found = measured(value) if isinstance(value, Tensor) else None
        if found is not None and contradicts(found, reading.expected):
            note(f"warning: {misfit(reading.component, reading.use, found, reading.expected)}")
