"""Builds what decides by values: gates, schedules that follow a number, and the end of training."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import torch
from torch import nn

from artschool.config.numbers import log_name
from artschool.config.structure import Config, StepConfig
from artschool.config.value_gates import rule_of_loss, rule_of_step
from artschool.engine.decisions import Decision, KeyGate, NumberGate, Stop
from artschool.engine.train_step import TrainStep
from artschool.engine.update import Update
from artschool.registry.followers import Follower


def number_gates(config: Config) -> dict[str, NumberGate]:
    """The gates of steps and losses that follow a number of the log, by path."""
    rules = {f"steps.{step.name}.while": rule_of_step(step) for step in config.steps.values()}
    rules |= {
        f"{loss.path}.while": rule_of_loss(loss) for step in config.steps.values() for loss in step.losses.values()
    }
    return {path: NumberGate(rule) for path, rule in rules.items() if rule is not None and rule.is_number}


def key_gate_of(step: StepConfig, device: torch.device) -> KeyGate | None:
    """The gate of a step that reads a key, if it has one."""
    rule = rule_of_step(step)
    return KeyGate(rule, device) if rule is not None and not rule.is_number else None


def key_gates(steps: Iterable[TrainStep]) -> dict[str, nn.Module]:
    """The gates of steps that read a key, by path. Checkpoints contain their state."""
    return {f"steps.{step.graph.name}.while": step.key_gate for step in steps if step.key_gate is not None}


def decisions_of(config: Config, gates: Mapping[str, NumberGate], updates: Mapping[str, Update]) -> dict[str, Decision]:
    """Everything that follows a number of the log, by path."""
    found = {path: Decision(gate) for path, gate in gates.items()}
    for name, update in updates.items():
        for index, phase in enumerate(update.scheduled.schedule.phases if update.owns_optimizer else ()):
            if isinstance(phase.curve, Follower):
                found[f"steps.{name}.schedule.{index}"] = Decision(phase.curve, phase.start)
    for number in config.numbers:
        for index, phase in enumerate(number.schedule.phases):
            if isinstance(phase.curve, Follower):
                found[f"{number.path}.{index}"] = Decision(phase.curve, phase.start, log_name(number.path))
    if (stop := config.sections.train.stop) is not None:
        found["train.stop"] = Decision(Stop(stop.metric, stop.mode, stop.patience, stop.threshold))
    return found
