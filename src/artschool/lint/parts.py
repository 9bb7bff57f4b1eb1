"""Rules about losses of batches that are divided: into micro-batches, or among processes."""

from __future__ import annotations

from collections.abc import Iterator

from artschool.config.mean_over import first_late, is_counted, mean_over
from artschool.config.structure import Component, StepConfig
from artschool.faults import Fault
from artschool.lint.rule import rules_of
from artschool.lint.subject import Subject, fault, type_name
from artschool.registry.mean_over import MeanOver


def undeclared_mean(subject: Subject) -> Iterator[Fault]:
    """A loss of a divided batch does not declare what its mean is over.

    Parts of a batch are weighted by their samples. For a loss that is a mean over other things, such as the places of a
    mask, the gradient then differs from that of the whole batch. Declare it where the loss is registered:
    `mean_over="samples"`, `mean_over="batch"`, or `count=`, a function that counts the places of a part.
    """
    for _, loss in _divided(subject):
        if mean_over(loss) is None:
            blamed = _undeclared_in(loss)
            message = f"{type_name(blamed)} does not declare what its mean is over, so {_weighted(subject)}"
            hint = 'Fix: register the loss with `mean_over="samples"`, `mean_over="batch"` or `count=...`.'
            yield fault(blamed, "type", message, hint)


def divided_comparison(subject: Subject) -> Iterator[Fault]:
    """A loss that compares the samples of a batch gets only a part of them.

    `accumulate` and several processes then change the loss: a contrastive loss has fewer negatives, and statistics are
    those of fewer samples. `activation_checkpointing` and `precision: bf16` save memory without this effect.
    """
    for _, loss in _divided(subject):
        if mean_over(loss) is MeanOver.BATCH:
            message = f"{type_name(loss)} compares the samples of a batch, but gets one of {_parts(subject)} at a time"
            yield fault(loss, "type", message)


def late_count(subject: Subject) -> Iterator[Fault]:
    """The places that a loss is a mean over are not known before the first part is trained on.

    Parts are then weighted by their samples, so the gradient differs from that of the whole batch. Places can be
    counted if their keys come from the data, from an earlier step, or from injectors that call no network or have
    `no_grad: true`. Losses around other losses, such as `for_each`, count nothing.
    """
    for step, loss in _divided(subject):
        if mean_over(loss) is not MeanOver.PLACES:
            continue
        if not is_counted(loss):
            message = f"is a mean over places, which {type_name(loss)} does not count, so {_weighted(subject)}"
            yield fault(loss, "loss", message)
        elif _num_parts(subject) > 1 and (injector := first_late(step, loss)) is not None:
            message = f"is a mean over places that depend on {injector.path}, so {_weighted(subject)}"
            hint = f"Fix: write `no_grad: true` at {injector.node.start}, or move it to an earlier step."
            yield fault(loss, "type", message, hint)


def _divided(subject: Subject) -> Iterator[tuple[StepConfig, Component]]:
    """The losses of a file whose batches are divided, with their steps."""
    if _num_parts(subject) == 1 and subject.num_processes == 1:
        return
    for step in subject.config.steps.values():
        yield from ((step, loss) for loss in step.losses.values() if loss.entry is not None)


def _num_parts(subject: Subject) -> int:
    return subject.config.sections.train.max_parts


def _weighted(subject: Subject) -> str:
    return f"the {_parts(subject)} are weighted by their samples"


def _parts(subject: Subject) -> str:
    """What a batch is divided into: `4 parts of a batch`."""
    parts = _num_parts(subject)
    return f"{parts} parts of a batch" if parts > 1 else f"{subject.num_processes} processes' parts of a batch"


def _undeclared_in(loss: Component) -> Component:
    """The loss that declares nothing: the loss itself, or one inside it."""
    inner = (part for part in loss.inner if part.kind == "losses" and mean_over(part) is None)
    declares = loss.registered is not None and loss.registered.mean is not None
    return next((_undeclared_in(part) for part in inner), loss) if declares else loss


RULES = rules_of(undeclared_mean, divided_comparison, late_count, sees_processes=True)
