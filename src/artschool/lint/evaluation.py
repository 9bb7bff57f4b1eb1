"""Rules about evaluations: their data, their weights, and the best checkpoint."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from artschool.config.streams import streams
from artschool.config.structure import Component, EvaluationConfig
from artschool.faults import Fault
from artschool.lint.rule import rules_of
from artschool.lint.subject import Subject, has_role, place_of, type_name
from artschool.registry import ComponentRole
from artschool.registry.entries import DatasetEntry

LOADING = set(DatasetEntry.model_fields) - {"type", "keys"}


def samples_without_average(subject: Subject) -> Iterator[Fault]:
    """A generative network is evaluated without a moving average of its weights.

    The last weights of a diffusion model or a GAN are noisy: scores vary from one checkpoint to the next, and are worse
    than those of an average. Write `ema: {decay: ..., networks: [...]}`, and keep `ema: true` in the evaluation.

    Source: Song and Ermon 2020, arXiv:2006.09011; for GANs, Karras et al. 2018, arXiv:1710.10196.
    """
    adversarial = _adversarially_trained(subject)
    for evaluation in subject.config.evaluations.values():
        scored = any(has_role(metric, ComponentRole.COMPARES_DISTRIBUTIONS) for metric in evaluation.metrics.values())
        for component in evaluation.injectors.values():
            for use in component.networks:
                drawn = has_role(component, ComponentRole.SAMPLER) or (scored and use.name in adversarial)
                if not drawn or not subject.is_trained(use.name):
                    continue
                averaged = subject.config.averages_of(use.name)
                if use.name not in subject.config.averages_in(evaluation):
                    chosen = evaluation.section.ema
                    given = "the evaluation has `ema: false`" if not chosen else "the `ema` of the evaluation lacks it"
                    why = given if averaged else "`ema` does not average it"
                    message = f"draws samples with the last weights of {use.name!r}: {why}"
                    yield Fault(use.place, f"{component.path}.{use.parameter}", message)


def judged_on_training_data(subject: Subject) -> Iterator[Fault]:
    """An evaluation uses the samples that the networks are trained with.

    It measures how well the networks remember them. Hold out some samples.
    """
    trained = [subject.config.data[name] for name in streams(subject.config)]
    for evaluation in subject.config.evaluations.values():
        data = subject.config.data.get(evaluation.section.data)
        place, path = place_of(evaluation.node, "data"), f"evaluate.{evaluation.name}.data"
        if data is None:
            continue
        if data in trained:
            yield Fault(place, path, "is the data that the steps train on")
        elif same := [stream for stream in trained if _samples(data) == _samples(stream)]:
            hint = f"See {same[0].path} at {place_of(same[0].node)}."
            yield Fault(place, path, f"{evaluation.section.data!r} has the samples that the steps train on", hint)


def best_is_worst(subject: Subject) -> Iterator[Fault]:
    """The best checkpoint is chosen by the wrong mode of its metric.

    Write `max` for a metric that rises as results improve, such as psnr, and `min` for distances and error rates.
    """
    best, metric = _best(subject)
    if best is None or metric is None:
        return
    name, mode = type_name(metric), subject.config.sections.checkpoint.keep_best.mode  # type: ignore[union-attr]  # best
    opposite = ComponentRole.LOWER_IS_BETTER if mode == "max" else ComponentRole.HIGHER_IS_BETTER
    if has_role(metric, opposite):
        place = place_of(subject.config.tree, "checkpoint", "keep_best", "mode")
        message = f"is {mode}, which keeps the worst {name}"
        yield Fault(place, "checkpoint.keep_best.mode", message)


def best_of_one(subject: Subject) -> Iterator[Fault]:
    """The best checkpoint is chosen from a single one.

    The evaluation runs only at the end, so the best checkpoint is the last. Give the evaluation an `every`.
    """
    best, _ = _best(subject)
    if best is None or subject.iterations is None:
        return
    every = best.section.every
    if every is None or every >= subject.iterations:
        place = place_of(subject.config.tree, "checkpoint", "keep_best", "metric")
        hint = f"Fix: write `every:` at {place_of(best.node)}."
        message = f"is measured only once: evaluate.{best.name} runs at the end alone"
        yield Fault(place, "checkpoint.keep_best.metric", message, hint)


def _best(subject: Subject) -> tuple[EvaluationConfig | None, Component | None]:
    keep = subject.config.sections.checkpoint.keep_best
    name, _, metric = keep.metric.partition("/") if keep is not None else ("", "", "")
    evaluation = subject.config.evaluations.get(name)
    return evaluation, evaluation.metrics.get(metric) if evaluation is not None else None


def _adversarially_trained(subject: Subject) -> set[str]:
    return {
        name
        for loss in subject.generator_losses
        for name in loss.step.section.trained
        if name not in subject.critics(loss)
    }


def _samples(data: Component) -> tuple[str, dict[str, Any]]:
    """What decides which samples a data set has: its type and options, without those about batches."""
    written = data.entry.model_dump() if data.entry is not None else {}
    return type_name(data), {name: value for name, value in written.items() if name not in LOADING}


RULES = rules_of(samples_without_average, judged_on_training_data, best_is_worst, best_of_one)
