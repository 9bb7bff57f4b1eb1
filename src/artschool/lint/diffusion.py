"""Rules about diffusion and flows: how a network is trained, and how samples are drawn from it."""

from __future__ import annotations

from collections.abc import Iterator

from artschool.config.component import network_of
from artschool.config.structure import Component
from artschool.faults import Fault
from artschool.lint.rule import rules_of
from artschool.lint.subject import Subject, fault, has_role, option, place_of
from artschool.registry import ComponentRole
from artschool.registry.schedule import Schedule

METHODS = {ComponentRole.GAUSSIAN_DIFFUSION, ComponentRole.EDM, ComponentRole.FLOW_MATCHING}
SHARED = ("schedule", "num_timesteps", "prediction", "rescale_timesteps", "sigma_data", "variance")
FIXED = ("fixed_small", "fixed_large")
"""Variances that are not trained, so that sampling may choose either."""


def sampled_unlike_trained(subject: Subject) -> Iterator[Fault]:
    """A sampler uses other options than its network was trained with.

    The network gets noise that it never saw in training, or its output is misread. The samples are bad, and no error
    explains why.
    """
    for sample, training in _pairs(subject):
        for name in SHARED:
            here, there = option(sample, name), option(training, name)
            free = name == "variance" and here in FIXED and there in FIXED
            if here != there and here is not None and there is not None and not free:
                hint = f"See {training.path} at {place_of(training.node, name)}."
                yield fault(sample, name, f"{name} is {_shown(here)}, but {_shown(there)} in training", hint)


def untrained_guidance(subject: Subject) -> Iterator[Fault]:
    """Guidance calls a network without a condition, which training never does.

    Guidance extrapolates away from what the network predicts without a condition, and that has to be trained: write
    `drop_probability: 0.1`.

    Source: Ho and Salimans 2022, arXiv:2207.12598, algorithm 1.
    """
    for sample, training in _pairs(subject):
        guidance = option(sample, "guidance")
        if isinstance(guidance, int | float | Schedule) and guidance != 1 and option(training, "drop_probability") == 0:
            hint = f"Fix: write `drop_probability: 0.1` and `nothing` at {place_of(training.node)}."
            yield fault(sample, "guidance", f"is {guidance:g}, but {training.path} never drops a condition", hint)


def untrained_variance(subject: Subject) -> Iterator[Fault]:
    """A network predicts a variance that no loss trains.

    The squared error gives the variance no gradient. Add a loss on the second result, with a small weight.

    Source: Nichol and Dhariwal 2021, arXiv:2102.09672, section 3.1, eq. 16.
    """
    read = {use.name for loss in subject.losses for use in loss.outer.reads}
    read |= {use.name for step in subject.config.steps.values() for c in step.injectors.values() for use in c.reads}
    for training in _injectors(subject):
        learned = str(option(training, "variance")).startswith("learned")
        by_squared_error = "mse" in str(option(training, "objective"))
        if not (has_role(training, ComponentRole.SAMPLER_TRAINING) and learned and by_squared_error):
            continue
        out = training.node.get("out")
        named = out.plain() if out is not None else None
        if not isinstance(named, list) or len(named) < 2 or named[1] not in read:
            hint = "Fix: name the second result in `out`, and add a loss of type mean on it with a small weight."
            yield fault(training, "variance", f"is {option(training, 'variance')}, but no loss trains it", hint)


def _pairs(subject: Subject) -> Iterator[tuple[Component, Component]]:
    """Each sampler with the injector that trains its network, if there is exactly one."""
    of_steps = _injectors(subject)
    of_evaluations = [c for evaluation in subject.config.evaluations.values() for c in evaluation.injectors.values()]
    training = [component for component in of_steps if has_role(component, ComponentRole.SAMPLER_TRAINING)]
    samplers = [c for c in [*of_steps, *of_evaluations] if has_role(c, ComponentRole.SAMPLER)]
    for sample in samplers:
        called = {network_of(use.name) for use in sample.networks}
        found = [c for c in training if _fit(sample, c) and called & {use.name for use in c.networks}]
        if len(found) == 1:
            yield sample, found[0]


def _fit(sample: Component, training: Component) -> bool:
    """Whether sampler and training use the same method. A component that declares no method fits any."""
    drawn, trained = ({method for method in METHODS if has_role(c, method)} for c in (sample, training))
    return not drawn or not trained or bool(drawn & trained)


def _injectors(subject: Subject) -> list[Component]:
    return [component for step in subject.config.steps.values() for component in step.injectors.values()]


def _shown(value: object) -> str:
    if isinstance(value, list):
        return "a list of betas"
    return str(value).lower() if isinstance(value, bool) else str(value)


RULES = rules_of(sampled_unlike_trained, untrained_guidance, untrained_variance)
