"""Precision, and what is switched on while looking for a fault."""

from __future__ import annotations

from collections.abc import Iterator

from artschool.errors import Fault
from artschool.lint.rule import rules_of
from artschool.lint.subject import Subject, fault, place_of
from artschool.registry import ComponentRole

MOST_WATCHED = 1000


def second_order_in_fp16(subject: Subject) -> Iterator[Fault]:
    """A penalty on gradients trains in fp16.

    It differentiates gradients, which leave fp16's range of 6e-8 to 65504 easily, and the scale of the loss protects
    the outer gradient only. Ours compute what they can in float32, which saves no time then. `bf16` has the range.

    Source: Micikevicius et al. 2018, arXiv:1710.03740, section 3.
    """
    for term in subject.terms:
        if term.has_role(ComponentRole.SECOND_ORDER) and subject.config.sections.train.precision == "fp16":
            hint = (
                f"train.precision stands at {place_of(subject.config.tree, 'train', 'precision')}; bf16 has the range."
            )
            yield fault(term.loss, "type", "differentiates gradients, and the training is in fp16", hint)


def unguarded_fp16(subject: Subject) -> Iterator[Fault]:
    """Nobody looks for infinite gradients in fp16.

    There they are part of the method: the scale of the loss grows until something overflows, and that update is
    skipped. With `ignore` the infinities go into the weights.

    Source: Micikevicius et al. 2018, arXiv:1710.03740, section 3.2.
    """
    train = subject.config.sections.train
    if train.precision == "fp16" and train.non_finite == "ignore":
        place = place_of(subject.config.tree, "train", "non_finite")
        message = "is ignore, but in fp16 gradients overflow as a matter of course"
        yield Fault(place, "train.non_finite", message, "Write `non_finite: skip`.")


def timed_kernels(subject: Subject) -> Iterator[Fault]:
    """Kernels are chosen by their time, in a run that is to be repeatable.

    All of them are deterministic then, but which one is taken differs from run to run, and with it the last bits.

    Source: PyTorch's notes on reproducibility, "CUDA convolution benchmarking".
    """
    train = subject.config.sections.train
    if train.deterministic and train.cudnn_benchmark:
        place = place_of(subject.config.tree, "train", "cudnn_benchmark")
        message = "chooses kernels by a stopwatch, so two runs differ although `deterministic` is true"
        yield Fault(place, "train.cudnn_benchmark", message, "Leave one of the two out.")


def forgotten_anomaly_detection(subject: Subject) -> Iterator[Fault]:
    """A long run looks for the operation that made a NaN.

    That slows every iteration down and is for finding one fault.
    """
    if subject.config.sections.train.detect_anomaly and (subject.iterations or 0) > MOST_WATCHED:
        place = place_of(subject.config.tree, "train", "detect_anomaly")
        message = f"slows down all of {subject.iterations} iterations"
        yield Fault(place, "train.detect_anomaly", message, "Leave it out once the fault is found.")


RULES = rules_of(second_order_in_fp16, unguarded_fp16, timed_kernels, forgotten_anomaly_detection)
