"""What networks are made of, as far as their options say or the built modules show."""

from __future__ import annotations

from collections.abc import Iterator

from torch import nn

from artschool.config.component import Use
from artschool.errors import Fault, Place
from artschool.lint.rule import rules_of
from artschool.lint.subject import Subject, Term, fault, has_role, option, place_of, type_of
from artschool.registry import ComponentRole
from artschool.registry.entries import DatasetEntry, NetworkEntry

LOGITS = ("logits", "student", "teacher")
"""What the names of parameters that take logits contain."""
SQUASHING_MODULES = (nn.Sigmoid, nn.Softmax, nn.LogSigmoid)
BATCH_NORMS = nn.modules.batchnorm._BatchNorm


def batch_norm_under_penalty(subject: Subject) -> Iterator[Fault]:
    """A critic with batch norm has a gradient penalty.

    The penalty is about how each logit depends on its own sample, and batch norm makes it depend on all of the batch.
    Take layer or group norm.

    Source: Gulrajani et al. 2017, arXiv:1704.00028, section 4, "No critic batch normalization".
    """
    for term in subject.terms:
        for critic in subject.critics(term) if term.has_role(ComponentRole.CRITIC_PENALTY) else ():
            if _has_batch_norm(subject, critic):
                message = f"is about each sample, and {critic!r} has batch norm, which mixes them"
                hint = f"networks.{critic} stands at {_network_place(subject, critic)}; take group or layer norm there."
                yield fault(term.loss, "network", message, hint)


def batch_norm_of_one(subject: Subject) -> Iterator[Fault]:
    """A network with batch norm trains on one sample at a time.

    Of one sample the mean is the sample and the variance nothing but that between places; without places it is an
    error. Take group norm, or larger parts.

    Source: Wu and He 2018, arXiv:1803.08494, section 4.1.
    """
    data, train = subject.config.data.get("train"), subject.config.sections.train
    entry = data.entry if data is not None else None
    if data is None or not isinstance(entry, DatasetEntry) or entry.batch_size >= 2 * train.accumulate:
        return
    for network in subject.config.networks:
        if subject.is_trained(network) and _has_batch_norm(subject, network):
            parts = f" in {train.accumulate} parts" if train.accumulate > 1 else ""
            message = f"has batch norm, and a batch is {entry.batch_size}{parts}"
            hint = f"data.train.batch_size stands at {place_of(data.node, 'batch_size')}."
            yield Fault(_network_place(subject, network), f"networks.{network}", message, hint)


def squashed_logits(subject: Subject) -> Iterator[Fault]:
    """Something went through a sigmoid or a softmax before a loss that does so itself.

    The loss then sees logits within 0..1: it can never be small, and its gradients hardly tell right from wrong. End
    the network with its last linear layer.
    """
    for term in subject.terms:
        if not term.has_role(ComponentRole.TAKES_LOGITS):
            continue
        for use in _logits(term):
            for how in _squashed(subject, use.name):
                yield fault(term.holder, use.parameter, f"{use.name!r} {how}, and {term.name} takes logits")
        yield from _squashing_critics(subject, term)


def _logits(term: Term) -> list[Use]:
    """The keys that a loss takes as logits: by the names of its parameters, else the first if it calls no network."""
    reads = term.holder.reads if term.holder is term.loss else []
    named = [use for use in reads if any(part in use.parameter for part in LOGITS)]
    return named or ([] if term.networks else reads[:1])


def _squashing_critics(subject: Subject, term: Term) -> Iterator[Fault]:
    adversarial = term.has_role(ComponentRole.CRITIC_LOSS) or term.has_role(ComponentRole.GENERATOR_LOSS)
    for critic in term.networks if adversarial else ():
        if _ends_squashing(subject.module(critic)):
            yield fault(term.loss, "network", f"{critic!r} ends in a sigmoid or softmax, and {term.name} takes logits")


def random_and_frozen(subject: Subject) -> Iterator[Fault]:
    """A network stays as random as it began: nothing trains it, and it has no weights.

    Forgotten `weights:` look like this. What it gives are random features, which is seldom meant.
    """
    called = _called(subject)
    for name, network in subject.config.networks.items():
        entry = network.entry
        if not isinstance(entry, NetworkEntry) or entry.weights is not None:
            continue
        # A folder of diffusers or transformers has weights in it.
        starts_random = has_role(network, ComponentRole.STARTS_RANDOM) and option(network, "folder") is None
        if not starts_random or subject.is_trained(name) or name not in called:
            continue
        hint = "Write `weights:`, or let a step train it."
        yield Fault(_network_place(subject, name), f"networks.{name}", "is random, and nothing trains it", hint)


def compared_with_itself(subject: Subject) -> Iterator[Fault]:
    """Both sides of a comparison are one key.

    Its value is that of perfection from the first iteration on.
    """
    metrics = [m for evaluation in subject.config.evaluations.values() for m in evaluation.metrics.values()]
    losses = [term.holder for term in subject.terms if term.holder is term.loss]
    for component in [*losses, *metrics]:
        uses = {use.parameter: use for use in component.reads}
        sides = [use.name for use in component.reads if use.parameter in ("fake", "real")]
        if len(sides) == 2 and uses.keys() >= {"fake", "real"} and sides[0] == sides[1]:
            yield fault(component, "real", f"is {sides[0]!r}, and so is fake")


def _called(subject: Subject) -> set[str]:
    steps, evaluations = subject.config.steps.values(), subject.config.evaluations.values()
    used = [c for step in steps for c in [*step.injectors.values(), *step.losses.values()]]
    used += [c for e in evaluations for c in [*e.injectors.values(), *e.metrics.values()]]
    return {use.name for component in used for use in component.networks}


def _has_batch_norm(subject: Subject, network: str) -> bool:
    module = subject.module(network)
    if module is not None:
        return any(isinstance(part, BATCH_NORMS) for part in module.modules())
    component = subject.config.networks.get(network)
    if component is None:
        return False
    return option(component, "norm") == "batch" or has_role(component, ComponentRole.HAS_BATCH_NORM)


def _squashed(subject: Subject, key: str) -> Iterator[str]:
    for writer in subject.writers(key):
        if has_role(writer, ComponentRole.SQUASHING):
            yield f"went through {type_of(writer)}"
        calls = has_role(writer, ComponentRole.NETWORK_CALL) and option(writer, "method") is None
        for use in writer.networks if calls else ():
            if _ends_squashing(subject.module(use.name)):
                yield f"comes from {use.name!r}, which ends in a sigmoid or softmax"


def _ends_squashing(module: nn.Module | None) -> bool:
    """Whether what was made last is such a function; a network that calls one by name cannot be told."""
    while module is not None:
        if isinstance(module, SQUASHING_MODULES):
            return True
        parts = list(module.children())
        module = parts[-1] if parts else None
    return False


def _network_place(subject: Subject, name: str) -> Place:
    return place_of(subject.config.networks[name].node)


RULES = rules_of(
    batch_norm_under_penalty,
    batch_norm_of_one,
    squashed_logits,
    random_and_frozen,
    compared_with_itself,
    sees_networks=True,
)
