"""Builds a run from a checked config."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from artschool import ranks
from artschool.build.averages import order_updates, place_averages, provide_averages
from artschool.build.bind import Binder, construct
from artschool.build.data import batches_of, build_data, train_data
from artschool.build.shards import check_even, meshes_of, place
from artschool.build.torch_flags import set_torch_flags
from artschool.config.flow import kept_after
from artschool.config.mean_over import early_injectors, first_late, is_counted
from artschool.config.parallel import sharded_networks
from artschool.config.ranges import Reading, misfit, undeclared_readings
from artschool.config.structure import Component, Config, EvaluationConfig, StepConfig
from artschool.config.write import dump
from artschool.data.loader import Loader
from artschool.data.seeds import derive, forked_rng
from artschool.engine.batch_sizing import BatchSizing
from artschool.engine.ema import Ema
from artschool.engine.evaluate import Evaluation
from artschool.engine.freeze import freeze, set_mode
from artschool.engine.hooks import hooks
from artschool.engine.meters import Meters
from artschool.engine.optimizers import build_optimizer, parameter_groups, shard_groups
from artschool.engine.precision import Precision
from artschool.engine.pretrained_weights import load_weights
from artschool.engine.recompute import checkpoint_activations
from artschool.engine.run import Run
from artschool.engine.run_state import Logger
from artschool.engine.scheduled_optimizer import ScheduledOptimizer
from artschool.engine.schedules import Phase, Schedule
from artschool.engine.sharding import build_for_shards, has_values
from artschool.engine.train_context import TrainContext
from artschool.engine.train_step import TrainStep
from artschool.engine.update import Update
from artschool.errors import ConfigError, Fault
from artschool.registry.entries import NetworkEntry, OptimizerEntry, ScheduleEntry, WeightsEntry
from artschool.registry.ranges import contradicts, measured
from artschool.steps.step import Step

Note = Callable[[str], None]


def build(
    config: Config,
    folder: Path,
    *,
    source: str = "",
    note: Note = lambda message: None,
    device: torch.device | None = None,
    loaders: Mapping[str, Loader] | None = None,
) -> Run:
    """Build the networks, data, optimizers, steps and evaluations of a checked config. Writes no files.

    Args:
        config: The checked config.
        folder: The run folder.
        source: The text of the config file.
        note: Called with messages for the user, such as a report of loaded weights.
        device: The device to train on. None: the device of `train.device`.
        loaders: The data by name. None: the result of `build_data`.

    Raises:
        ArtschoolError: A fault that only building can find, such as an empty data set or weights that do not fit.
    """
    file = config.sections
    device = device or choose_device(config)
    ranks.start(device)
    set_torch_flags(file.train, device)
    context = TrainContext(device, Meters())
    loaders = build_data(config, note=lambda remark: note(f"note: {remark}")) if loaders is None else loaders
    data = train_data(config, loaders["train"])
    meshes = meshes_of(config, device)
    networks = {
        name: _network(component, file.seed, note, is_sharded=meshes[name] is not None)
        for name, component in config.networks.items()
    }
    emas = _averages(config, networks)
    for name, network in networks.items():
        place(network, config, name, meshes[name], device)
    place_averages(emas, config, meshes, device)
    provide_averages(networks, emas, config)
    binder = Binder(networks | {f"{name}.ema": ema.module for name, ema in emas.items()}, context)
    kept = kept_after(config)
    steps = [_step(step, config, networks, binder, kept[step.name], device) for step in config.steps.values()]
    order_updates(steps, emas)
    _broadcast_initial_values(binder.modules.values())
    _set_modes(networks, config)
    return Run(
        sections=file,
        folder=folder,
        networks=networks,
        steps=steps,
        emas=emas,
        modules=binder.modules | _batch_sizings(steps),
        data=data,
        evaluations=[
            _evaluation(e, config, binder, emas, loaders[e.section.data], note) for e in config.evaluations.values()
        ],
        iterations=file.train.length(data.batches.per_epoch),
        context=context,
        iteration=file.train.start_iteration,
        config=config.tree.masked(),
        config_texts={"config.yml": source, "resolved.yml": dump(config.tree.masked())},
    )


def schedule_of(step: StepConfig) -> Schedule:
    """The learning rate schedule of a step."""
    return Schedule([_phase(phase) for phase in step.schedule])


def build_loggers(config: Config) -> list[Logger]:
    """Build the loggers of the section `loggers`, which are added to the default ones."""
    return [construct(component, component.options()) for component in config.loggers.values()]


def choose_device(config: Config) -> torch.device:
    """The device of `train.device`. `auto` is a GPU if there is one. Each process uses its own GPU.

    Raises:
        ConfigError: The device does not exist.
    """
    name = config.sections.train.device
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    device = torch.device(name)
    if device.type == "cpu":
        return device
    if device.type == "cuda" and device.index is None:
        device = torch.device("cuda", ranks.local_rank())
    kind = torch.get_device_module(device)
    number = kind.device_count() if kind.is_available() else 0
    if (device.index or 0) >= number:
        available = (
            f"{number} {device.type} device{'s' if number > 1 else ''}" if number else f"no {device.type} device"
        )
        message = f"{device} does not exist: this machine has {available}"
        hint = "`auto` uses a GPU if there is one. Fix: `train.device=cpu` on the command line trains without a GPU."
        raise ConfigError(Fault(config.tree.at(("train", "device")).place, "train.device", message, hint))
    if device.type == "cuda":
        torch.cuda.set_device(device)
    return device


def _network(component: Component, seed: int, note: Note, *, is_sharded: bool) -> nn.Module:
    """A network with its weights, on the CPU. If it is to be sharded, only rank 0 has its values."""
    build = partial(_with_weights, component, seed, note)
    network = build_for_shards(build) if is_sharded else build()
    entry = component.entry
    assert isinstance(entry, NetworkEntry)
    freeze(network, entry.frozen, _location_of(component, "frozen"))
    patterns = entry.activation_checkpointing
    checkpoint_activations(network, patterns, _location_of(component, "activation_checkpointing"))
    return network


def _with_weights(component: Component, seed: int, note: Note) -> nn.Module:
    name = component.path.rpartition(".")[2]
    entry = component.entry
    assert isinstance(entry, NetworkEntry)
    # Each network has its own seed, so that adding a network does not change the others.
    with forked_rng(derive(seed, "network", name), torch.device("cpu")):
        network = construct(component, component.options())
    if not isinstance(network, nn.Module):
        raise ConfigError(
            f"{component.node.place}: {component.path}: expected a torch.nn.Module, got {type(network).__name__}"
        )
    if entry.weights is not None:
        weights = entry.weights if isinstance(entry.weights, WeightsEntry) else WeightsEntry(file=entry.weights)
        if has_values(network):
            place = _location_of(component, "weights")
            report = load_weights(network, weights.file, prefix=weights.prefix, strict=weights.strict, path=place)
            note(f"{component.path}: {weights.file}: {report}")
        for _, hook in hooks({name: network}, "network_loaded"):
            hook()
    return network


def _location_of(component: Component, option: str) -> str:
    """The location of an option and the path of its component, as the beginning of an error."""
    return f"{(component.node.get(option) or component.node).place}: {component.path}"


def _broadcast_initial_values(modules: Iterable[nn.Module]) -> None:
    """Give every process the parameters and buffers of rank 0."""
    for module in modules:
        ranks.broadcast([*module.parameters(), *module.buffers()])


def _averages(config: Config, networks: Mapping[str, nn.Module]) -> dict[str, Ema]:
    """The moving averages of the section `ema`."""
    section = config.sections.ema
    if section is None:
        return {}
    return {name: _average(config, name, networks[name], decay) for name, decay in section.decays.items()}


def _average(config: Config, name: str, network: nn.Module, decay: float) -> Ema:
    try:
        return Ema(network, decay)
    except ConfigError as error:
        place = config.tree.at(("ema", "networks")).place
        raise ConfigError(f"{place}: ema.networks: {name!r} {error}") from error


def _set_modes(networks: Mapping[str, nn.Module], config: Config) -> None:
    """Put networks that a step trains into train mode, and the others and frozen layers into eval mode."""
    trained = {name for step in config.steps.values() for name in step.section.trained}
    for name, network in networks.items():
        entry = config.networks[name].entry
        assert isinstance(entry, NetworkEntry)
        set_mode(network, entry.frozen, trained=name in trained)


def _step(
    step: StepConfig,
    config: Config,
    networks: Mapping[str, nn.Module],
    binder: Binder,
    kept: set[str],
    device: torch.device,
) -> TrainStep:
    graph = _graph(step, binder, kept, training=True)
    trained = {name: networks[name] for name in step.section.trained}
    gates = {name: step.moves_when & config.networks[name].when for name in trained}
    callbacks = [binder.callback(component, trained) for component in step.callbacks.values()]
    return TrainStep(graph, trained, gates, _update(step, config, trained, device), callbacks)


def _graph(step: StepConfig, binder: Binder, kept: Collection[str], *, training: bool) -> Step:
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
    )


def _update(step: StepConfig, config: Config, networks: Mapping[str, nn.Module], device: torch.device) -> Update | None:
    if step.optimizer is None or step.optimizer.registered is None:
        return None
    entry, train = step.optimizer.entry, config.sections.train
    assert isinstance(entry, OptimizerEntry)
    path = f"{step.optimizer.node.place}: {step.optimizer.path}"
    groups = parameter_groups(networks, no_decay=entry.no_decay, groups=entry.param_groups, path=path)
    parameters = [parameter for group in groups for parameter in group["params"]]
    shards = None
    if entry.shard and ranks.world_size() > 1:
        groups, shards = shard_groups(groups, ranks.rank(), ranks.world_size())
    sizing = step.section.batch_sizing
    optimizer = build_optimizer(step.optimizer.registered.target, step.optimizer.options(), groups, path)
    return Update(
        step.name,
        ScheduledOptimizer(
            optimizer, schedule_of(step), parameters, shards, is_offloaded=train.offload.optimizer is not None
        ),
        Precision(train.precision, device),
        clip=step.section.clip_grad_norm,
        skip_non_finite=train.non_finite != "ignore",
        sizing=BatchSizing(parameters, sizing.poll_parameters, sizing.max_full_batches) if sizing else None,
    )


def _batch_sizings(steps: Sequence[TrainStep]) -> dict[str, nn.Module]:
    """The batch sizings of all steps, by path. Checkpoints contain their state."""
    updates = {step.graph.name: step.update for step in steps if step.update is not None}
    return {f"steps.{name}.batch_sizing": update.sizing for name, update in updates.items() if update.sizing}


def _phase(component: Component) -> Phase:
    entry = component.entry
    assert isinstance(entry, ScheduleEntry) and component.registered is not None
    curve = partial(component.registered.target, **component.options())
    return Phase(curve, entry.from_, entry.scale, entry.warmup)


def _evaluation(
    evaluation: EvaluationConfig,
    config: Config,
    training: Binder,
    emas: Mapping[str, Ema],
    loader: Loader,
    note: Note,
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
        steps=[_graph(config.steps[name], binder, (), training=False) for name in evaluation.section.steps],
        injectors=[binder.injector(component) for component in evaluation.injectors.values()],
        metrics={name: binder.metric(component) for name, component in evaluation.metrics.items()},
        networks=[*binder.used, *binder.modules.values()],
        check_values=partial(_check_values, undeclared_readings(config, evaluation), note),
        is_even=bool(sharded),
        channels_last=config.sections.train.channels_last,
        averages=[ema for ema in emas.values() if any(network is ema.module for network in binder.used)],
    )


def _check_values(readings: Sequence[Reading], note: Note, values: Mapping[str, Any]) -> None:
    """Warn about data of an evaluation that hardly has the range that a metric expects."""
    for reading in readings:
        value = values.get(reading.use.name)
        found = measured(value) if isinstance(value, Tensor) else None
        if found is not None and contradicts(found, reading.expected):
            note(f"warning: {misfit(reading.component, reading.use, found, reading.expected)}")
