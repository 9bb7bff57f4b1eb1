"""Optimizers, what they minimise, and averages of what they make."""

from __future__ import annotations

from collections.abc import Iterator

from artschool.config.structure import Component
from artschool.errors import Fault
from artschool.lint.rule import rules_of
from artschool.lint.subject import Subject, fault, has_role, option, place_of, type_of
from artschool.registry import ComponentRole
from artschool.registry.entries import DatasetEntry, LossEntry, OptimizerEntry

MOST_RATE = {ComponentRole.GRADIENT_DESCENT: 10.0, ComponentRole.ADAPTIVE: 0.1}
LARGE_DECAY = 0.05
MOST_CLIPPING = 1000.0
FEW_UPDATES = 2


def weight_zero(subject: Subject) -> Iterator[Fault]:
    """A loss has weight 0.

    It is computed, and its gradient with it, and changes nothing. Drop it; to watch a number, an evaluation is cheaper.
    """
    for step in subject.config.steps.values():
        for loss in step.losses.values():
            if isinstance(loss.entry, LossEntry) and loss.entry.weight == 0:
                yield fault(
                    loss, "weight", "is 0, so the loss costs its time and changes nothing", "Leave the loss out."
                )


def negative_weight(subject: Subject) -> Iterator[Fault]:
    """A loss has a negative weight.

    Its minimum is then where the loss is worst, and most losses have no upper bound, so the training ends up in that
    term alone. Subtracting is right for few losses, such as an entropy.
    """
    for step in subject.config.steps.values():
        for loss in step.losses.values():
            if has_role(loss, ComponentRole.MINIMIZED) and isinstance(loss.entry, LossEntry) and loss.entry.weight < 0:
                yield fault(loss, "weight", f"is {loss.entry.weight:g}: the step makes the loss as large as it can")


def coupled_decay(subject: Subject) -> Iterator[Fault]:
    """Weight decay goes through the adaptive scale of Adam or its like.

    There it is a gradient as any other: where gradients are large it is divided away. `adamw` decays all alike.

    Source: Loshchilov and Hutter 2019, arXiv:1711.05101, section 2.
    """
    for step in subject.config.steps.values():
        optimizer = step.optimizer
        if optimizer is None or not _couples_decay(optimizer):
            continue
        decay = option(optimizer, "weight_decay")
        if isinstance(decay, int | float) and decay:
            message = f"is {decay:g}, which {type_of(optimizer)} divides by the size of the gradients"
            yield fault(optimizer, "weight_decay", message, "Take `adamw`.")


def decayed_norms(subject: Subject) -> Iterator[Fault]:
    """A large weight decay pulls on biases and the scales of norms as well.

    They do not overfit, and decay shrinks what passes through them. Write `no_decay: [bias, norm]`.

    Source: He et al. 2019, arXiv:1812.01187, section 3.1.
    """
    for step in subject.config.steps.values():
        entry = step.optimizer.entry if step.optimizer is not None else None
        if step.optimizer is None or not isinstance(entry, OptimizerEntry) or entry.param_groups:
            continue
        decay = option(step.optimizer, "weight_decay")
        is_large = isinstance(decay, int | float) and decay >= LARGE_DECAY
        if is_large and not _couples_decay(step.optimizer) and not {"bias", "norm"} <= set(entry.no_decay):
            message = f"is {decay:g} for biases and norms as well"
            yield fault(step.optimizer, "weight_decay", message, "Write `no_decay: [bias, norm]`.")


def extreme_rate(subject: Subject) -> Iterator[Fault]:
    """The learning rate is far above what the optimizer can use.

    Adam and its like move each weight by about `lr` at each iteration, whatever the gradient: 0.1 is the size of the
    weights themselves. Usual are 1e-5 to 1e-2.

    Source: Kingma and Ba 2015, arXiv:1412.6980, section 2.1.
    """
    for step in subject.config.steps.values():
        optimizer = step.optimizer
        rate = option(optimizer, "lr") if optimizer is not None else None
        most = next((limit for role, limit in MOST_RATE.items() if has_role(optimizer, role)), None)
        if optimizer is not None and most is not None and isinstance(rate, int | float) and rate >= most:
            yield fault(optimizer, "lr", f"is {rate:g}, which is far more than {type_of(optimizer)} can use")


def rate_zero(subject: Subject) -> Iterator[Fault]:
    """The learning rate is 0.

    All is computed, gradients too, and nothing moves. To keep a network as it is, write `frozen: true`.
    """
    for step in subject.config.steps.values():
        optimizer = step.optimizer
        if optimizer is not None and option(optimizer, "lr") == 0 and not getattr(optimizer.entry, "param_groups", []):
            yield fault(optimizer, "lr", "is 0, so nothing that the step trains ever moves")


def idle_clipping(subject: Subject) -> Iterator[Fault]:
    """Gradients are clipped at a norm that they hardly reach.

    The limit counts for all that a step trains together; usual are 0.1 to 10. One in the thousands clips nothing before
    the training has already failed.
    """
    for step in subject.config.steps.values():
        limit = step.section.clip_grad_norm
        if limit is not None and limit > MOST_CLIPPING:
            place = place_of(step.node, "clip_grad_norm")
            yield Fault(place, f"steps.{step.name}.clip_grad_norm", f"is {limit:g}, which clips next to nothing")


def parts_past_batch(subject: Subject) -> Iterator[Fault]:
    """A batch is to go through in more parts than it has samples.

    A part holds one sample at least. Lower `accumulate`, or raise `batch_size`.
    """
    train, data = subject.config.sections.train, subject.config.data.get("train")
    size = data.entry.batch_size if data is not None and isinstance(data.entry, DatasetEntry) else None
    every = train.accumulate_every
    for path, parts in (("accumulate", train.accumulate), ("accumulate_every.parts", every.parts if every else 1)):
        if size is not None and parts > size:
            place = place_of(subject.config.tree, "train", *path.split("."))
            message = f"is {parts}, but a batch has {size} sample{'s' if size > 1 else ''}"
            yield Fault(place, f"train.{path}", message, f"data.train.batch_size stands at {_size_place(subject)}.")


def slow_average(subject: Subject) -> Iterator[Fault]:
    """A moving average reaches further back than half of the run, or hardly back at all.

    It is the mean of about the last `1 / (1 - decay)` weights. In a short run 0.9999 still holds much of the random
    weights it began with; below 0.5 it is the last weights, more or less.
    """
    ema = subject.config.sections.ema
    for network, decay in ema.decays.items() if ema is not None else ():
        updates = sum(filter(None, (_updates(subject, step.name) for step in subject.trainers(network))))
        given = isinstance(ema.networks, dict) if ema is not None else False
        path = ("ema", "networks", network) if given else ("ema", "decay")
        place = place_of(subject.config.tree, *path)
        # Rounded, as 1 / (1 - 0.9) is a little more than 10.
        reach = round(1 / (1 - decay), 6) if decay < 1 else float("inf")
        if updates and reach * FEW_UPDATES > updates:
            message = f"averages {network!r} over the last {reach:.0f} updates, and there are {updates}"
            if decay < 1:
                yield Fault(place, ".".join(path), message, f"Write {_decay_for(updates)} or less.")
            else:
                yield Fault(place, ".".join(path), f"is 1, so the average of {network!r} never moves")
        elif decay < 0.5:
            yield Fault(place, ".".join(path), f"is {decay:g}, so the average of {network!r} is its last weights")


def _couples_decay(optimizer: Component) -> bool:
    return has_role(optimizer, ComponentRole.COUPLED_DECAY) and not option(optimizer, "decoupled_weight_decay")


def _updates(subject: Subject, step: str) -> int:
    when = subject.config.steps[step].section.trains_when & subject.during
    first = when.first()
    return 0 if first is None or when.before is None else (when.before - first) // when.every + 1


def _decay_for(updates: int) -> str:
    return f"{1 - 10 / max(updates, 20):.3g}"


def _size_place(subject: Subject) -> object:
    return place_of(subject.config.data["train"].node, "batch_size")


RULES = rules_of(
    weight_zero,
    negative_weight,
    coupled_decay,
    decayed_norms,
    extreme_rate,
    rate_zero,
    idle_clipping,
    parts_past_batch,
    slow_average,
)
