"""The updates of steps: their optimizers, rates, clipping and batch sizing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial

from torch import nn

from artschool import ranks
from artschool.config.structure import Component, Config, StepConfig
from artschool.engine.batch_sizing import BatchSizing
from artschool.engine.optimizers import build_optimizer, parameter_groups, set_options, shard_groups, targets_of
from artschool.engine.precision import Precision
from artschool.engine.scheduled_optimizer import ScheduledOptimizer
from artschool.engine.separate import check_separate
from artschool.engine.train_context import TrainContext
from artschool.engine.train_step import TrainStep
from artschool.engine.update import Update
from artschool.errors import ConfigError
from artschool.registry.entries import OptimizerEntry
from artschool.registry.schedule import Schedule, value_at


def build_updates(config: Config, networks: Mapping[str, nn.Module], context: TrainContext) -> dict[str, Update]:
    """The update of each step that has an optimizer, of its own or that of another step."""
    updates: dict[str, Update] = {}
    for step in sorted(config.steps.values(), key=lambda step: step.shares is not None):
        trained = {name: networks[name] for name in step.section.trained}
        if step.shares is not None:
            updates[step.name] = _shared_update(step, config, trained, updates[step.shares.name], context)
        elif step.optimizer is not None and step.optimizer.registered is not None:
            updates[step.name] = _update(step, step.optimizer, config, trained, context)
    return updates


def _update(
    step: StepConfig, component: Component, config: Config, networks: Mapping[str, nn.Module], context: TrainContext
) -> Update:
    entry, train = component.entry, config.sections.train
    assert isinstance(entry, OptimizerEntry) and component.registered is not None
    path = f"{component.node.place}: {component.path}"
    groups = parameter_groups(networks, no_decay=entry.no_decay, groups=entry.param_groups, path=path)
    parameters = [parameter for group in groups for parameter in group["params"]]
    if train.precision == "fp16" and any(parameter.is_complex() for parameter in parameters):
        raise ConfigError(
            f"{path}: a trained parameter is complex, and torch scales no loss for those, which "
            "`train.precision: fp16` needs. Fix: train with `bf16` or `fp32`"
        )
    shards = None
    options = component.options()
    build = partial(build_optimizer, component.registered.target, options, path=path)
    if entry.shard:
        check_separate(build, groups, path, "shard")
    if train.offload.optimizer is not None:
        check_separate(build, groups, path, "train.offload.optimizer", in_parts=True)
    if entry.shard and ranks.world_size() > 1:
        groups, shards = shard_groups(groups, ranks.rank(), ranks.world_size())
    optimizer = build(groups)
    changing = set()
    for number in config.numbers:
        if targets := targets_of(number.schedule, options, groups):
            changing |= {target.option for target in targets}
            context.schedule(number.path, number.schedule.at, partial(set_options, optimizer, targets))
    update = Update(
        step.name,
        ScheduledOptimizer(
            optimizer, step.rates, parameters, shards, changing, is_offloaded=train.offload.optimizer is not None
        ),
        Precision(train.precision, context.device),
        skip_non_finite=train.non_finite != "ignore",
        sizing=_sizing(step, parameters),
    )
    _clip(step, update, context)
    return update


def _shared_update(
    step: StepConfig, config: Config, networks: Mapping[str, nn.Module], owner: Update, context: TrainContext
) -> Update:
    own = {parameter for network in networks.values() for parameter in network.parameters()}
    parameters = [parameter for parameter in owner.parameters if parameter in own]
    update = Update(
        step.name,
        owner.scheduled,
        owner.precision,
        skip_non_finite=config.sections.train.non_finite != "ignore",
        sizing=_sizing(step, parameters),
        parameters=parameters,
    )
    _clip(step, update, context)
    return update


def _clip(step: StepConfig, update: Update, context: TrainContext) -> None:
    """Let the update clip gradients to the norm of the file, which a schedule may change."""
    clip = step.section.clip_grad_norm
    update.clip = None if clip is None else value_at(clip, 0)
    if isinstance(clip, Schedule):
        context.schedule(f"steps.{step.name}.clip_grad_norm", clip.at, partial(setattr, update, "clip"))


def _sizing(step: StepConfig, parameters: Sequence[nn.Parameter]) -> BatchSizing | None:
    sizing = step.section.batch_sizing
    return BatchSizing(parameters, sizing.poll_parameters, sizing.max_full_batches) if sizing else None


def batch_sizings(steps: Sequence[TrainStep]) -> dict[str, nn.Module]:
    """The batch sizings of all steps, by path. Checkpoints contain their state."""
    updates = {step.graph.name: step.update for step in steps if step.update is not None}
    return {f"steps.{name}.batch_sizing": update.sizing for name, update in updates.items() if update.sizing}
