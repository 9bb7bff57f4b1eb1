"""Steps that update with the optimizer of another step: `optimizer: {of: critic}`."""

from __future__ import annotations

from collections.abc import Iterator

from artschool.config.messages import describe
from artschool.config.source import Node
from artschool.config.structure import Config, StepConfig
from artschool.faults import Fault


def shared_optimizer_faults(config: Config) -> Iterator[Fault]:
    """Faults of steps that use the optimizer of another step."""
    for step in config.steps.values():
        if (node := step.of) is not None:
            yield from _faults(config, step, node)


def _faults(config: Config, step: StepConfig, of: Node) -> Iterator[Fault]:
    path = f"steps.{step.name}.optimizer"
    owner = config.steps.get(of.value) if isinstance(of.value, str) else None
    if not isinstance(of.value, str):
        yield Fault.wrong_value(of.place, f"{path}.of", ["the name of a step"], describe(of))
        return
    if owner is None:
        names = [name for name, other in config.steps.items() if other.of is None]
        message = f"unknown step {of.value!r}"
        yield Fault.unknown_name(of.place, f"{path}.of", message, of.value, names, listed_as="Available steps")
        return
    if step.shares is None or owner.optimizer is None:
        is_chain = owner.of is not None and owner is not step and owner.of.value != step.name
        fix = f"Fix: write `of: {owner.of.value}`." if is_chain and owner.of is not None else ""
        yield Fault(of.place, f"{path}.of", f"step {owner.name!r} has no optimizer of its own", fix)
        return
    yield from _own_options(step, owner, path)
    for name in step.section.trained:
        if name not in owner.section.trained:
            message = f"the optimizer of step {owner.name!r} does not move {name!r}, which this step trains"
            hint = f"Fix: add {name} to `trains` of step {owner.name}, or give this step an optimizer of its own."
            yield Fault(of.place, f"{path}.of", message, hint)


def _own_options(step: StepConfig, owner: StepConfig, path: str) -> Iterator[Fault]:
    """Faults of options that belong to the shared optimizer, which has them in one place."""
    optimizer = step.node.get("optimizer")
    written = optimizer.value if optimizer is not None and isinstance(optimizer.value, dict) else {}
    own = {f"{path}.{key}": node for key, node in written.items() if key != "of"}
    if (schedule := step.node.get("schedule")) is not None and schedule.value is not None:
        own[f"steps.{step.name}.schedule"] = schedule
    for where, node in own.items():
        message = f"not allowed beside `of`: both steps use one optimizer, and step {owner.name!r} has its options"
        home = owner.node.get("optimizer") or owner.node
        yield Fault(node.start, where, message, f"The optimizer is at {home.place}. Fix: remove the option.")
