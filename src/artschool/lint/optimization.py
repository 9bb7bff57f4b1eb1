"""Rules about the weights of losses, optimizers, gradients and moving averages."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from artschool.config.average_sections import Average
from artschool.config.streams import streams
from artschool.config.structure import Component, StepConfig
from artschool.faults import Fault, Place
from artschool.lint.rates import HORIZON, RATE_SAMPLES
from artschool.lint.rule import rules_of
from artschool.lint.subject import Subject, fault, has_role, option, place_of, type_name
from artschool.registry import ComponentRole
from artschool.registry.entries import DatasetEntry, LossEntry, OptimizerEntry
from artschool.registry.schedule import Schedule, value_at

MAX_RATE = {ComponentRole.GRADIENT_DESCENT: 10.0, ComponentRole.ADAPTIVE: 0.1}
LARGE_DECAY = 0.05
MAX_CLIPPING = 1000.0
MIN_REACHES = 2
"""A run should be at least this many times as long as the reach of a moving average."""


def weight_zero(subject: Subject) -> Iterator[Fault]:
    """A loss has weight 0.

    The loss and its gradient are computed, but train nothing. Remove the loss. To watch its value, an evaluation is
    cheaper. Each call of a network moves its spectral norms and running statistics, and draws the numbers of its
    dropout, so a run without the loss may differ. A loss with `out`, whose value others read, is not reported.
    """
    for step in subject.config.steps.values():
        for loss in step.losses.values():
            weights = _weights(subject, loss)
            if weights and not any(weights) and not loss.writes:
                called = ", ".join(dict.fromkeys(use.name for use in loss.networks))
                moved = f" It calls {called}, which may still change buffers and random numbers." if called else ""
                message = "is 0, so the loss costs time and trains nothing"
                yield fault(loss, "weight", message, f"Fix: remove the loss.{moved}")


def negative_weight(subject: Subject) -> Iterator[Fault]:
    """A loss has a negative weight.

    The step maximizes the loss. Most losses have no upper bound, so this one soon outweighs all others. A negative
    weight is right for few losses, such as an entropy.
    """
    for step in subject.config.steps.values():
        for loss in step.losses.values():
            weight = min(_weights(subject, loss), default=0.0)
            if has_role(loss, ComponentRole.MINIMIZED) and weight < 0:
                yield fault(loss, "weight", f"is {weight:g}, so the step maximizes the loss")


def _weights(subject: Subject, loss: Component) -> list[float]:
    """The weight of a loss, or the weights at iterations that are spread over the run. Empty: a key has the weight."""
    assert isinstance(loss.entry, LossEntry)
    weight, during = loss.entry.weight, subject.during
    if isinstance(weight, str):
        return []
    last = HORIZON if during.before is None else max(during.before, during.after)
    return [value_at(weight, at) for at in range(during.after, last + 1, max(1, last // RATE_SAMPLES))]


def coupled_decay(subject: Subject) -> Iterator[Fault]:
    """Weight decay passes through the adaptive scaling of Adam or a similar optimizer.

    The optimizer adds the decay to the gradient, and divides it away where gradients are large. `adamw` decays all
    weights at the same rate.

    Source: Loshchilov and Hutter 2019, arXiv:1711.05101, section 2.
    """
    for step in subject.config.steps.values():
        optimizer = step.optimizer
        if optimizer is None or not _couples_decay(optimizer):
            continue
        decay = option(optimizer, "weight_decay")
        if isinstance(decay, int | float) and decay:
            message = f"is {decay:g}, which {type_name(optimizer)} divides by the size of the gradients"
            yield fault(optimizer, "weight_decay", message, "Fix: use `adamw`.")


def decayed_norms(subject: Subject) -> Iterator[Fault]:
    """A large weight decay also applies to biases and to the scales of norms.

    They do not overfit, and decay shrinks the activations that they scale. Write `no_decay: [bias, norm]`.

    Source: He et al. 2019, arXiv:1812.01187, section 3.1.
    """
    for step in subject.config.steps.values():
        entry = step.optimizer.entry if step.optimizer is not None else None
        if step.optimizer is None or not isinstance(entry, OptimizerEntry) or entry.param_groups:
            continue
        decay = option(step.optimizer, "weight_decay")
        is_large = isinstance(decay, int | float) and decay >= LARGE_DECAY
        if is_large and not _couples_decay(step.optimizer) and not _spares_biases(entry.no_decay):
            message = f"is {decay:g}, and applies to biases and norms too"
            yield fault(step.optimizer, "weight_decay", message, "Fix: write `no_decay: [bias, norm]`.")


def extreme_rate(subject: Subject) -> Iterator[Fault]:
    """The learning rate is far above the usual range of the optimizer.

    Adam and similar optimizers move each weight by about `lr` at each iteration, whatever the size of the gradient. A
    rate of 0.1 is as large as the weights themselves. Rates of 1e-5 to 1e-2 are usual.

    Source: Kingma and Ba 2015, arXiv:1412.6980, section 2.1.
    """
    for step in subject.config.steps.values():
        optimizer = step.optimizer
        rate = option(optimizer, "lr") if optimizer is not None else None
        most = next((limit for role, limit in MAX_RATE.items() if has_role(optimizer, role)), None)
        if optimizer is not None and most is not None and isinstance(rate, int | float) and rate >= most:
            yield fault(optimizer, "lr", f"is {rate:g}, which is far above the usual range of {type_name(optimizer)}")


def rate_zero(subject: Subject) -> Iterator[Fault]:
    """The learning rate is 0.

    Losses and gradients are computed, but no parameter changes. To keep a network unchanged, write `frozen: true`.
    """
    for step in subject.config.steps.values():
        optimizer = step.optimizer
        if optimizer is not None and option(optimizer, "lr") == 0 and not getattr(optimizer.entry, "param_groups", []):
            yield fault(optimizer, "lr", "is 0, so the parameters that the step trains never change")
        if optimizer is not None and isinstance(optimizer.entry, OptimizerEntry):
            yield from _groups_without_rate(optimizer, optimizer.entry)


def idle_clipping(subject: Subject) -> Iterator[Fault]:
    """Gradients are clipped at a norm that they hardly ever reach.

    The limit applies to the norm of all gradients of a step together. Limits of 0.1 to 10 are usual. A limit in the
    thousands clips nothing until training has already failed.
    """
    for step in subject.config.steps.values():
        limit = step.section.clip_grad_norm
        if isinstance(limit, float) and limit > MAX_CLIPPING:
            place = place_of(step.node, "clip_grad_norm")
            yield Fault(place, f"steps.{step.name}.clip_grad_norm", f"is {limit:g}, which hardly ever clips anything")


def parts_past_batch(subject: Subject) -> Iterator[Fault]:
    """A batch is split into more micro-batches than it has samples.

    A micro-batch has at least one sample. Lower `accumulate`, or raise `batch_size`.
    """
    train = subject.config.sections.train
    every = train.accumulate_every
    for name in streams(subject.config):
        entry, node = subject.config.data[name].entry, subject.config.data[name].node
        size = entry.batch_size if isinstance(entry, DatasetEntry) else None
        for path, parts in (("accumulate", train.accumulate), ("accumulate_every.parts", every.parts if every else 1)):
            if size is not None and parts > size:
                place = place_of(subject.config.tree, "train", *path.split("."))
                message = f"is {parts}, but a batch has {size} sample{'s' if size > 1 else ''}"
                hint = f"See data.{name}.batch_size at {place_of(node, 'batch_size')}."
                yield Fault(place, f"train.{path}", message, hint)


def slow_average(subject: Subject) -> Iterator[Fault]:
    """A moving average covers more than half of the run, or hardly more than the last update.

    It averages about the last `1 / (1 - decay)` weights. In a short run, a decay of 0.9999 keeps much of the random
    initial weights. Below 0.5, the average hardly differs from the last weights.
    """
    networks = subject.config.tree.at(("ema", "networks"))
    for entry, average in subject.config.averages.items():
        network, decay, written = average.of, average.decay, networks.get(entry)
        if isinstance(decay, Schedule) or (average.due is not None and decay < 0.5):
            continue  # At an interval, a low decay makes a copy of the weights.
        updates = _updates_of_average(subject, average)
        own = ("ema", "networks", entry, "decay") if written and written.get("decay") else ("ema", "networks", entry)
        is_shared = written is None or (isinstance(written.value, dict) and written.get("decay") is None)
        path = ("ema", "decay") if is_shared else own
        place = place_of(subject.config.tree, *path)
        # Rounded, as 1 / (1 - 0.9) is a little more than 10.
        reach = round(1 / (1 - decay), 6) if decay < 1 else float("inf")
        if updates and reach * MIN_REACHES > updates:
            message = f"averages {network!r} over the last {reach:.0f} updates, but the run has only {updates}"
            if decay < 1:
                yield Fault(place, ".".join(path), message, f"Fix: write {_decay_for(updates)} or less.")
            else:
                yield Fault(place, ".".join(path), f"is 1, so the average of {network!r} never changes")
        elif decay < 0.5:
            yield Fault(
                place,
                ".".join(path),
                f"is {decay:g}, so the average of {network!r} hardly differs from its last weights",
            )


def copied_optimizer(subject: Subject) -> Iterator[Fault]:
    """A step copies the optimizer of another step that trains the same network.

    A reference such as `${steps.critic.optimizer}` copies the options. Each step then has an optimizer of its own, with
    its own momentum of the same parameters. To update with one optimizer, as `optimizer.step()` twice in a loop does,
    write `optimizer: {of: critic}`.
    """
    origins: dict[Place, StepConfig] = {}
    for step in subject.config.steps.values():
        written = step.optimizer.node.get("type") if step.optimizer is not None and step.shares is None else None
        if step.optimizer is None or written is None or not written.place.line:
            continue
        origin = origins.setdefault(written.place, step)
        both = [network for network in step.section.trained if network in origin.section.trained]
        if origin is not step and both:
            message = f"copies the options of the optimizer of step {origin.name!r}, which trains {both[0]!r} too"
            hint = f"Each has a state of its own. Fix: write `optimizer: {{of: {origin.name}}}` to share one."
            yield Fault(step.optimizer.node.start, step.optimizer.path, message, hint)


def _groups_without_rate(optimizer: Component, entry: OptimizerEntry) -> Iterator[Fault]:
    for index, group in enumerate(entry.param_groups):
        if (group.model_extra or {}).get("lr") == 0:
            node = optimizer.node.at(("param_groups", index, "lr"))
            path = f"{optimizer.path}.param_groups.{index}.lr"
            yield Fault(node.place, path, "is 0, so the parameters of the group never change")


def _spares_biases(kinds: Sequence[str]) -> bool:
    return "norm" in kinds and not {"bias", "layer_bias"}.isdisjoint(kinds)


def _couples_decay(optimizer: Component) -> bool:
    return has_role(optimizer, ComponentRole.COUPLED_DECAY) and not option(optimizer, "decoupled_weight_decay")


def _updates(subject: Subject, step: str) -> int:
    section = subject.config.steps[step].section
    when = section.trains_when & subject.during
    first = when.first()
    iterations = 0 if first is None or when.before is None else (when.before - first) // when.every + 1
    return iterations * section.repeat


def _updates_of_average(subject: Subject, average: Average) -> int:
    if average.due is not None:
        return (average.due & subject.during).count() if subject.during.before is not None else 0
    return sum(_updates(subject, step.name) for step in subject.trainers(average.of))


def _decay_for(updates: int) -> str:
    return f"{1 - 10 / max(updates, 20):.3g}"


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
    copied_optimizer,
)
