"""The samples of a trace: the first ones of each data set, and others that have the keys which a step requires."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from artschool.build.data import batches_of
from artschool.config.streams import key_in, stream_of, streams_in
from artschool.config.structure import Config, StepConfig
from artschool.data.loader import Loader
from artschool.registry.entries import DatasetEntry

MAX_SAMPLES = 32
"""Maximum number of samples that are loaded to see their shapes. Larger batches repeat them."""
MAX_SEARCHED = 32
"""Maximum number of batches whose first sample is loaded in search of keys that a step requires."""

Samples = Mapping[str, Mapping[str, Any]]
"""Some samples of each data set, as a batch."""


@dataclass
class FirstBatches:
    """The samples of a trace.

    Attributes:
        sets: The first samples of each data set, then variants of them for steps that skip those.
        notes: The steps that skip all of them.
    """

    sets: list[Samples]
    notes: list[str] = field(default_factory=list)


def first_batches(config: Config, loaders: Mapping[str, Loader]) -> FirstBatches:
    """Load the samples of a trace.

    Raises:
        DataError: They cannot be loaded.
    """
    first: Samples = {
        name: loader.first(min(MAX_SAMPLES, batch_size(config, name))) for name, loader in loaders.items()
    }
    found = FirstBatches([first])
    for step in config.steps.values():
        if not _missing(config, step, first):
            continue
        samples: dict[str, Mapping[str, Any]] = dict(first)
        for stream in streams_in(config, step):
            if keys := [key for key in _missing(config, step, first) if stream_of(key, config) == stream]:
                samples[stream] = next(_with_keys(config, stream, loaders[stream], keys), first[stream])
        if missing := _missing(config, step, samples):
            listed = ", ".join(map(repr, missing))
            found.notes.append(
                f"steps.{step.name} was not traced: it requires {listed}, which the batches that were loaded lack"
            )
        else:
            found.sets.append(samples)
    return found


def batch_size(config: Config, name: str) -> int:
    """The number of samples of a batch of a data set, over all processes."""
    entry = config.data[name].entry
    assert isinstance(entry, DatasetEntry)
    return entry.batch_size


def _missing(config: Config, step: StepConfig, samples: Samples) -> list[str]:
    """The keys that a step requires of its streams and that samples lack."""
    written = {use.name for each in config.steps.values() for part in each.injectors.values() for use in part.writes}
    had = {key_in(stream, key) for stream in streams_in(config, step) for key in samples.get(stream, ())}
    return [key for key in step.section.requires if key not in written and key not in had]


def _with_keys(config: Config, stream: str, loader: Loader, keys: list[str]) -> Iterator[Mapping[str, Any]]:
    """Batches of a stream with some keys, among the first ones of training."""
    batches = batches_of(config.data[stream], loader, training=True)
    positions = [batches.whole(number)[:MAX_SAMPLES] for number in range(min(MAX_SEARCHED, batches.per_epoch))]
    for batch, sample in zip(positions, loader.here(batch[:1] for batch in positions), strict=True):
        if {key_in(stream, key) for key in sample}.issuperset(keys):
            yield next(loader.here([batch]))
