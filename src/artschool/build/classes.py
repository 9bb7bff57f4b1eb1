"""Compares how the data sets of a run number their classes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import combinations
from typing import Any

from artschool.registry.map_style import has_samples

MOST_PARTS = 64
"""Maximum length of a list in which wrapped data sets are looked for. Longer ones hold samples."""
MOST_LEVELS = 4
"""Maximum number of wrappers around a data set with classes."""


def class_differences(datasets: Mapping[str, Any]) -> Iterator[str]:
    """A sentence for each two data sets in which a class of the same name has another label.

    The attribute `classes` of a data set, or of one that it wraps, lists their names, as in torchvision.

    Args:
        datasets: The data sets by path.
    """
    found = [(path, classes) for path, dataset in datasets.items() for classes in _classes_of(dataset)]
    for (one, first), (other, second) in combinations(found, 2):
        labels = {name: label for label, name in enumerate(first)}
        for label, name in enumerate(second):
            if labels.get(name, label) != label:
                yield (
                    f"{other}: class {name!r} has label {label}, and in {one} label {labels[name]}. "
                    "Fix: give both the same folders, or the same `classes` as options of `labelled_folder`"
                )
                break


def _classes_of(dataset: Any, level: int = 0) -> Iterator[Sequence[str]]:
    classes = getattr(dataset, "classes", None)
    if isinstance(classes, list | tuple) and all(isinstance(name, str) for name in classes):
        yield classes
    elif level < MOST_LEVELS:
        for part in _wrapped(dataset):
            yield from _classes_of(part, level + 1)


def _wrapped(dataset: Any) -> Iterator[Any]:
    """The data sets that a data set holds in attributes, or in a list."""
    for value in getattr(dataset, "__dict__", {}).values():
        parts = value if isinstance(value, list) and len(value) <= MOST_PARTS else [value]
        yield from (part for part in parts if hasattr(part, "__dict__") and has_samples(type(part)))
