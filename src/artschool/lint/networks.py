"""Rules about the structure of networks, which their options or the built modules show."""

from __future__ import annotations

from collections.abc import Iterator

from torch import nn

from artschool.config.component import Use
from artschool.config.streams import streams_in
from artschool.engine.unregistered import unregistered
from artschool.faults import Fault, Place
from artschool.lint.rule import rules_of
from artschool.lint.subject import StepLoss, Subject, fault, has_role, option, place_of, type_name
from artschool.registry import ComponentRole
from artschool.registry.entries import DatasetEntry
from artschool.registry.network_entry import NetworkEntry

LOGITS = ("logits", "student", "teacher")
"""Parameters that take logits have one of these in their name."""
SQUASHING_MODULES = (nn.Sigmoid, nn.Softmax, nn.LogSigmoid)
"""Without LogSoftmax: a softmax of its output gives the same probabilities."""
BATCH_NORMS = nn.modules.batchnorm._BatchNorm


def batch_norm_under_penalty(subject: Subject) -> Iterator[Fault]:
    """A critic with a gradient penalty uses batch norm.

    The penalty concerns how each logit depends on its own sample, but batch norm makes it depend on the whole batch.
    Use layer norm or group norm.

    Source: Gulrajani et al. 2017, arXiv:1704.00028, section 4, "No critic batch normalization".
    """
    for loss in subject.losses:
        for critic in subject.critics(loss) if loss.has_role(ComponentRole.CRITIC_PENALTY) else ():
            if _has_batch_norm(subject, critic):
                message = f"penalizes each sample, but {critic!r} has batch norm, which mixes the samples of a batch"
                hint = f"Fix: use group or layer norm in networks.{critic}, at {_network_place(subject, critic)}."
                yield fault(loss.component, "network", message, hint)


def batch_norm_of_one(subject: Subject) -> Iterator[Fault]:
    """A network with batch norm trains on one sample at a time.

    With one sample, the mean is the sample itself, and the variance is taken over its positions alone. Without
    positions, batch norm fails. Use group norm, or larger micro-batches.

    Source: Wu and He 2018, arXiv:1803.08494, section 4.1.
    """
    parts = subject.config.sections.train.accumulate
    for network in subject.config.networks:
        if not subject.is_trained(network) or not _has_batch_norm(subject, network):
            continue
        streams = [streams_in(subject.config, step)[:1] for step in subject.trainers(network)]
        for data in [subject.config.data[name] for names in streams for name in names if name in subject.config.data]:
            if isinstance(data.entry, DatasetEntry) and data.entry.batch_size < 2 * parts:
                cut = f" in {parts} micro-batches" if parts > 1 else ""
                message = f"has batch norm, but trains on single samples: batch_size is {data.entry.batch_size}{cut}"
                hint = f"See {data.path}.batch_size at {place_of(data.node, 'batch_size')}."
                yield Fault(_network_place(subject, network), f"networks.{network}", message, hint)
                break


def squashed_logits(subject: Subject) -> Iterator[Fault]:
    """A loss that takes logits gets the output of a sigmoid or softmax.

    The loss applies a sigmoid or softmax itself, so it sees logits within 0..1. It never becomes small, and its
    gradients hardly distinguish right from wrong. End the network with its last linear layer.
    """
    for loss in subject.losses:
        if not loss.has_role(ComponentRole.TAKES_LOGITS):
            continue
        for use in _logits(loss):
            for how in _squashed(subject, use.name):
                yield fault(loss.outer, use.parameter, f"{use.name!r} {how}, but {loss.name} takes logits")
        yield from _squashing_critics(subject, loss)


def _logits(loss: StepLoss) -> list[Use]:
    """The keys that a loss takes as logits, by parameter name, or else its first key if it calls no network."""
    reads = loss.outer.reads if loss.outer is loss.component else []
    named = [use for use in reads if any(part in use.parameter for part in LOGITS)]
    return named or ([] if loss.networks else reads[:1])


def _squashing_critics(subject: Subject, loss: StepLoss) -> Iterator[Fault]:
    adversarial = loss.has_role(ComponentRole.CRITIC_LOSS) or loss.has_role(ComponentRole.GENERATOR_LOSS)
    for critic in loss.networks if adversarial else ():
        if _ends_squashing(subject.module(critic)):
            yield fault(
                loss.component, "network", f"{critic!r} ends in a sigmoid or softmax, but {loss.name} takes logits"
            )


def random_and_frozen(subject: Subject) -> Iterator[Fault]:
    """A network keeps its random initial weights: no step trains them, and it has no `weights`.

    Perhaps `weights:` was forgotten. The network computes random features, which is seldom intended. A network with
    adapters keeps its own weights, too.
    """
    called = _called(subject)
    for name, network in subject.config.networks.items():
        entry = network.entry
        if not isinstance(entry, NetworkEntry) or entry.weights is not None:
            continue
        # A folder of diffusers or transformers contains weights.
        starts_random = has_role(network, ComponentRole.STARTS_RANDOM) and option(network, "folder") is None
        is_trained = subject.is_trained(name) and entry.adapters is None
        if not starts_random or is_trained or name not in called:
            continue
        why = "no step trains it" if entry.adapters is None else "only its adapters are trained"
        hint = f"Fix: write `weights:`, or {'let a step train it' if entry.adapters is None else 'remove `adapters`'}."
        message = f"keeps its random initial weights, because {why}"
        yield Fault(_network_place(subject, name), f"networks.{name}", message, hint)


def half_frozen_norm(subject: Subject) -> Iterator[Fault]:
    """The code of a network freezes a layer, but the batch norms in it keep updating their running statistics.

    The frozen weights were made for the old statistics. A layer that the file freezes, by `frozen: [layer.*]`, runs in
    eval mode.
    """
    for name in subject.config.networks:
        module = subject.module(name)
        layers = _layers_frozen_by_code(module, "") if module is not None and subject.is_trained(name) else ()
        for path in layers:
            message = f"its code freezes the parameters of {path!r}, but not the running statistics of its batch norms"
            hint = f"Fix: write `frozen: [{path}.*]`."
            yield Fault(_network_place(subject, name), f"networks.{name}", message, hint)


def _layers_frozen_by_code(module: nn.Module, path: str) -> Iterator[str]:
    """The outermost layers in which no parameter is trained, but the statistics of a batch norm are."""
    parameters = list(module.parameters())
    if parameters and not any(parameter.requires_grad for parameter in parameters):
        norms = (part for part in module.modules() if isinstance(part, BATCH_NORMS))
        if path and any(norm.training and norm.track_running_stats for norm in norms):
            yield path
        return
    for name, child in module.named_children():
        yield from _layers_frozen_by_code(child, f"{path}.{name}" if path else name)


def unregistered_layer(subject: Subject) -> Iterator[Fault]:
    """A network holds a layer in a list or another plain attribute, where torch does not find it.

    The layer is not moved to the device, not saved and not part of a moving average, and its mode does not change. Use
    `nn.ModuleList`, `nn.ModuleDict`, or an attribute of its own for each layer.
    """
    networks = subject.networks or {}
    registered = {id(parameter) for network in networks.values() for parameter in network.parameters()}
    for name, network in networks.items():
        parameters = [(path, value) for path, value in unregistered(network) if isinstance(value, nn.Parameter)]
        paths = [path for path, parameter in parameters if id(parameter) not in registered]
        if paths:
            number = f" and {len(paths) - 1} more" if len(paths) > 1 else ""
            message = f"holds parameters that it does not register: {paths[0]}{number}"
            yield Fault(_network_place(subject, name), f"networks.{name}", message, "Fix: use `nn.ModuleList`.")


def compared_with_itself(subject: Subject) -> Iterator[Fault]:
    """A loss or metric compares a key with itself.

    Its value is perfect from the first iteration on.
    """
    metrics = [m for evaluation in subject.config.evaluations.values() for m in evaluation.metrics.values()]
    losses = [loss.outer for loss in subject.losses if loss.outer is loss.component]
    for component in [*losses, *metrics]:
        uses = {use.parameter: use for use in component.reads}
        sides = [use.name for use in component.reads if use.parameter in ("fake", "real")]
        if len(sides) == 2 and uses.keys() >= {"fake", "real"} and sides[0] == sides[1]:
            yield fault(component, "real", f"is {sides[0]!r}, the same key as `fake`")


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
            yield f"is the output of {type_name(writer)}"
        calls = has_role(writer, ComponentRole.NETWORK_CALL) and option(writer, "method") is None
        for use in writer.networks if calls else ():
            if _ends_squashing(subject.module(use.name)):
                yield f"comes from {use.name!r}, which ends in a sigmoid or softmax"


def _ends_squashing(module: nn.Module | None) -> bool:
    """Whether the last submodule is a sigmoid or softmax. One that `forward` calls as a function is not seen."""
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
    half_frozen_norm,
    unregistered_layer,
    compared_with_itself,
    sees_networks=True,
)
