"""The data sets of a checked config, each with how it is loaded."""

from __future__ import annotations

from typing import Any

from artschool.bind import construct
from artschool.config.structure import Component, Config
from artschool.data.bad import BadSamples
from artschool.data.collate import Collate
from artschool.data.examples import Examples
from artschool.data.loader import Loader
from artschool.entries import DatasetEntry


def build_data(config: Config, *, examples: bool = False) -> dict[str, Loader]:
    """The data sets that training and evaluations use, by name, each with how it is loaded.

    Args:
        examples: Whether those with an `example:` yield zeros of that shape instead of what they hold.
    """
    used = {"train", *(evaluation.section.data for evaluation in config.evaluations.values())}
    return {name: _loader(config.data[name], config.sections.seed, examples) for name in config.data if name in used}


def _dataset(component: Component) -> Any:
    inner = {
        name: [_dataset(part) for part in parts] if isinstance(parts, list) else _dataset(parts)
        for name, parts in component.nested.items()
    }
    return construct(component, {**component.options(), **inner})


def _loader(component: Component, seed: int, examples: bool) -> Loader:
    entry, path = component.entry, component.path
    assert isinstance(entry, DatasetEntry)
    return Loader(
        Examples(entry.example) if examples and entry.example else _dataset(component),
        path,
        seed,
        workers=entry.workers,
        timeout=entry.timeout,
        collate=Collate(entry.pad, entry.trim, entry.sort_key),
        bad=BadSamples(path, entry.max_bad),
    )
