"""Finds the section or kind of component to which a misplaced option belongs."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from artschool.config.report_sections import (
    CheckpointSection,
    EvaluationSection,
    KeepBestSection,
    LogSection,
    PicturesSection,
)
from artschool.config.sections import FileSections, StepSection
from artschool.config.train_section import TrainSection
from artschool.registry.entries import OPTIMIZER_BOUNDS, DatasetEntry, InjectorEntry, LossEntry, OptimizerEntry
from artschool.wording.synonyms import OPTIONS

OWNERS: Mapping[str, Iterable[str]] = {
    "at the top of the file": FileSections.model_fields,
    "in `train`": TrainSection.model_fields,
    "in `log`": LogSection.model_fields,
    "in `log.pictures`": PicturesSection.model_fields,
    "in `checkpoint`": CheckpointSection.model_fields,
    "in `checkpoint.keep_best`": KeepBestSection.model_fields,
    "in a step": StepSection.model_fields,
    "in an evaluation": EvaluationSection.model_fields,
    "in a data set": DatasetEntry.model_fields,
    "in an injector": InjectorEntry.model_fields,
    "in a loss": LossEntry.model_fields,
    "in an optimizer": [*OptimizerEntry.model_fields, *OPTIMIZER_BOUNDS],
}
MAX_OWNERS = 2
"""The most owners that a suggestion names. An option with more owners, such as `every`, gets no suggestion."""


def where_it_belongs(name: str) -> str:
    """A sentence on where an option belongs, such as `'lr' belongs in an optimizer.`; empty if no owner takes it.

    Args:
        name: The name of an option here, or its name in PyTorch or Lightning.
    """
    matches = {place: OPTIONS.of(name, names) for place, names in OWNERS.items()}
    known = next((match for match in matches.values() if match is not None), None)
    places = [place for place, match in matches.items() if match is not None and match == known]
    return f"{known!r} belongs {' or '.join(places)}." if 0 < len(places) <= MAX_OWNERS else ""
