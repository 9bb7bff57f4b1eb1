"""Rules about precision, reproducibility and debugging options."""

from __future__ import annotations

from collections.abc import Iterator

from artschool.config.compiling import compiled_networks
from artschool.faults import Fault
from artschool.lint.rule import rules_of
from artschool.lint.subject import Subject, fault, place_of
from artschool.registry import ComponentRole

LONG_RUN = 1000


def second_order_in_fp16(subject: Subject) -> Iterator[Fault]:
    """A loss that differentiates gradients trains in fp16.

    Gradients easily leave fp16's range of 6e-8 to 65504, and loss scaling protects only the outer gradient. The
    built-in penalties compute in float32 where they can, so that fp16 saves no time. `bf16` has the range.

    Source: Micikevicius et al. 2018, arXiv:1710.03740, section 3.
    """
    for loss in subject.losses:
        if loss.has_role(ComponentRole.SECOND_ORDER) and subject.config.sections.train.precision == "fp16":
            place = place_of(subject.config.tree, "train", "precision")
            hint = f"Fix: write `precision: bf16` at {place}: it has the range of fp32."
            yield fault(loss.component, "type", "differentiates gradients, but training runs in fp16", hint)


def unguarded_fp16(subject: Subject) -> Iterator[Fault]:
    """Infinite gradients are ignored in fp16.

    In fp16 they are expected: the loss scale grows until a gradient overflows, and that update is skipped. With
    `ignore`, the infinities reach the weights.

    Source: Micikevicius et al. 2018, arXiv:1710.03740, section 3.2.
    """
    train = subject.config.sections.train
    if train.precision == "fp16" and train.non_finite == "ignore":
        place = place_of(subject.config.tree, "train", "non_finite")
        message = "is ignore, but gradients in fp16 overflow regularly"
        yield Fault(place, "train.non_finite", message, "Fix: write `non_finite: skip`.")


def timed_kernels(subject: Subject) -> Iterator[Fault]:
    """Kernels are chosen by their speed in a run that should be reproducible.

    Each kernel is deterministic, but the choice differs from run to run, and so do the last bits.

    Source: PyTorch's notes on reproducibility, "CUDA convolution benchmarking".
    """
    train = subject.config.sections.train
    if train.deterministic and train.cudnn_benchmark:
        place = place_of(subject.config.tree, "train", "cudnn_benchmark")
        message = "chooses kernels by their measured speed, so two runs differ although `deterministic` is true"
        yield Fault(place, "train.cudnn_benchmark", message, "Fix: remove one of the two.")
    for path, compiled in {each.path: each for each in compiled_networks(subject.config).values()}.items():
        if train.deterministic and compiled.entry.mode.startswith("max-autotune"):
            message = "chooses kernels by their measured speed, so two runs differ although `deterministic` is true"
            yield Fault(compiled.place("mode"), f"{path}.mode", message, "Fix: remove one of the two.")


def forgotten_anomaly_detection(subject: Subject) -> Iterator[Fault]:
    """Anomaly detection is on in a long run.

    It finds the operation that made a NaN, and slows down every iteration. Use it only while looking for a fault.
    """
    if subject.config.sections.train.detect_anomaly and (subject.iterations or 0) > LONG_RUN:
        place = place_of(subject.config.tree, "train", "detect_anomaly")
        message = f"slows down all {subject.iterations} iterations"
        yield Fault(place, "train.detect_anomaly", message, "Fix: remove it once the fault is found.")


RULES = rules_of(second_order_in_fp16, unguarded_fp16, timed_kernels, forgotten_anomaly_detection)
