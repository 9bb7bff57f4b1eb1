"""Builds the data sets of a config and their loaders."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from artschool import ranks
from artschool.build.bind import construct_seeded
from artschool.build.classes import class_differences
from artschool.config.construct import construct_dataset
from artschool.config.data_keys import yielded_keys
from artschool.config.ranges import declared
from artschool.config.streams import TRAIN, fed, key_in, stream_of, streams, taken
from artschool.config.structure import Component, Config
from artschool.data.bad_samples import BadSamples
from artschool.data.collate import Collate
from artschool.data.declared_values import DeclaredValues
from artschool.data.examples import Examples, Missing
from artschool.data.loader import Loader, length_of
from artschool.data.sampler import Batches, InChunks
from artschool.data.seeded_dataset import SampleKeys
from artschool.data.workers import cores
from artschool.engine.streams import Stream, Streams
from artschool.errors import ArtschoolError, DataError
from artschool.registry.entries import DatasetEntry, ShuffleEntry
from artschool.wording.counting import counted

Note = Callable[[str], None]
MOST_WORKERS = 4
"""Number of workers for each core from which the user is told. Some workers mostly wait for a disk or a network."""


def _silent(message: str) -> None:
    pass


def build_data(
    config: Config, *, examples: bool = False, note: Note = _silent, must_exist: bool = True
) -> dict[str, Loader]:
    """Build the loaders of the data sets that training and evaluations use, by name.

    Args:
        examples: Whether data sets with an `example:` yield zeros of its shapes instead of their samples.
        note: Called with each of the `remarks` of the data sets, such as files that were passed over, and with
            differences between the labels of their classes.
        must_exist: Whether a data set that cannot be built is an error now, and not when a sample of it is asked for.
    """
    used = {*streams(config), *(evaluation.section.data for evaluation in config.evaluations.values())}
    loaders = {
        name: loader_of(config, config.data[name], examples=examples, note=note, must_exist=must_exist)
        for name in config.data
        if name in used
    }
    for difference in class_differences({loader.name: loader.dataset for loader in loaders.values()}):
        note(difference)
    return loaders


def _dataset(component: Component, seed: int, note: Note) -> Any:
    return construct_dataset(component, note, partial(construct_seeded, seed=seed))


def _built(component: Component, seed: int, note: Note, *, must_exist: bool) -> Any:
    try:
        return _held(_dataset(component, seed, note), component)
    except (ArtschoolError, OSError) as error:
        if must_exist:
            raise
        return Missing(error)


def _held(dataset: Any, component: Component) -> Any:
    """A data set whose samples are held to the ranges that it declares."""
    ranges = {key: values for key, values in declared(component).items() if values is not None}
    if not ranges or not hasattr(dataset, "__getitem__") or not hasattr(dataset, "__len__"):
        return dataset
    assert component.registered is not None
    return DeclaredValues(dataset, ranges, component.registered.name)


def loader_of(
    config: Config, component: Component, *, examples: bool = False, note: Note = _silent, must_exist: bool = True
) -> Loader:
    """Build a data set and its loader."""
    entry, path = component.entry, component.path
    assert isinstance(entry, DatasetEntry)
    example = entry.example if examples else None
    name = path.partition(".")[2]
    if entry.workers > MOST_WORKERS * cores():
        note(
            f"{path}: {entry.workers} workers share {counted(cores(), 'core')}, which takes memory and makes none of "
            f"them faster. Fix: {path}.workers={cores()}, or a few more where they wait for a disk or a network"
        )
    required = {key for step in config.steps.values() for key in step.section.requires}
    optional = {key.removeprefix(key_in(name, "")) for key in required if stream_of(key, config) == name}
    promised = [] if example else [key for key in yielded_keys(component) or () if key not in optional]
    return Loader(
        Examples(example) if example else _built(component, config.sections.seed, note, must_exist=must_exist),
        path,
        config.sections.seed,
        workers=entry.workers,
        timeout=entry.timeout,
        collate=Collate(entry.pad, entry.trim, entry.sort_key),
        bad=BadSamples(path, entry.max_bad, str(component.node.place)),
        keys=SampleKeys(promised, optional),
    )


def build_streams(config: Config, loaders: Mapping[str, Loader]) -> Streams:
    """The streams that the steps train on."""
    given = config.sections.train.start_iteration
    by_name = {
        name: Stream(name, loaders[name], batches_of(config.data[name], loaders[name], training=True), given)
        for name in streams(config)
    }
    return Streams(by_name, fed(config), taken(config))


def check_epoch(config: Config, batches: Batches) -> None:
    """Refuse a config whose numbers of epochs were converted with another number of iterations than the data has.

    Raises:
        DataError: The data set could not be built during the check, or its length has changed since.
    """
    units, data = config.units, config.data["train"]
    if units.counts_epochs and units.per_epoch != batches.per_epoch:
        checked = f"{units.per_epoch:,}" if units.per_epoch else "an unknown number of"
        raise DataError(
            f"{data.node.place}: {data.path}: an epoch has {batches.per_epoch:,} iterations, and the file was checked "
            f"with {checked}. Fix: start again"
        )


def batches_of(component: Component, loader: Loader, *, training: bool) -> Batches:
    """The batches of a data set. An evaluation uses every sample once, regardless of `drop_last`."""
    entry = component.entry
    assert isinstance(entry, DatasetEntry)
    try:
        length = length_of(loader.dataset, component.path)
        return Batches(
            component.path,
            length,
            entry.batch_size if training else min(entry.batch_size, length),
            seed=loader.seed,
            shuffle=_shuffle(entry, training),
            drop_last=training and entry.drop_last,
            world_size=ranks.world_size() if training else 1,
        )
    except DataError as error:
        raise DataError(f"{component.node.place}: {error}") from error


def _shuffle(entry: DatasetEntry, training: bool) -> bool | InChunks:
    if isinstance(entry.shuffle, ShuffleEntry):
        return InChunks(entry.shuffle.chunk, entry.shuffle.window)
    return training if entry.shuffle is None else entry.shuffle


def train_batches(config: Config, name: str = TRAIN) -> Batches:
    """The batches of a stream. Builds the data set but loads no sample."""
    return batches_of(config.data[name], loader_of(config, config.data[name]), training=True)
