"""Where an option belongs that was written elsewhere."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from artschool.config import sections
from artschool.registry.entries import OPTIMIZER_BOUNDS, DatasetEntry, InjectorEntry, LossEntry, OptimizerEntry
from artschool.wording.synonyms import OPTIONS

OWNERS: Mapping[str, Iterable[str]] = {
    "at the top of the file": sections.FileSections.model_fields,
    "in `train`": sections.TrainSection.model_fields,
    "in `log`": sections.LogSection.model_fields,
    "in `log.pictures`": sections.PicturesSection.model_fields,
    "in `checkpoint`": sections.CheckpointSection.model_fields,
    "in `checkpoint.keep_best`": sections.KeepBestSection.model_fields,
    "in a step": sections.StepSection.model_fields,
    "in an evaluation": sections.EvaluationSection.model_fields,
    "in a data set": DatasetEntry.model_fields,
    "in an injector": InjectorEntry.model_fields,
    "in a loss": LossEntry.model_fields,
    "in an optimizer": [*OptimizerEntry.model_fields, *OPTIMIZER_BOUNDS],
}
MAX_OWNERS = 2
"""An option of more places is none that was meant for one of them."""


def where_it_belongs(name: str) -> str:
    """A sentence that says where an option of that name belongs, whoever's name for it that is; nothing if nowhere."""
    meant = {place: OPTIONS.of(name, names) for place, names in OWNERS.items()}
    known = next((each for each in meant.values() if each is not None), None)
    places = [place for place, each in meant.items() if each is not None and each == known]
    return f"{known!r} belongs {' or '.join(places)}." if 0 < len(places) <= MAX_OWNERS else ""
