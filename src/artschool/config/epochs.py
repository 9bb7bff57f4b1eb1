"""Structures a tree whose numbers of iterations may be in epochs or samples of the training data."""

from __future__ import annotations

from artschool.config.construct import construct_dataset
from artschool.config.source import Node
from artschool.config.structure import Component, Config, structure
from artschool.errors import ArtschoolError, ConfigError, first_line
from artschool.faults import Fault
from artschool.registry.entries import DatasetEntry
from artschool.registry.units import ASSUMED_EPOCH, Units, batches_per_epoch


def structure_in_iterations(tree: Node, length: int | None = None) -> tuple[Config | None, list[Fault]]:
    """Type a composed tree, with every number of iterations in iterations.

    A file that counts epochs needs the length of its training data, so that data set is built. No sample is loaded. If
    that fails, a warning says which length was assumed for numbers with a unit, and `build` refuses the config.

    Args:
        length: The number of samples of the training data, if it is known. Then nothing is built.

    Returns:
        The config and every fault, as from `structure`.
    """
    units = Units(batch_size=_batch_size(tree))
    config, faults = structure(tree, units)
    data = config.data.get("train") if config is not None else None
    if config is None or data is None or data.entry is None:
        return config, faults
    if not units.counts_epochs and config.sections.train.epochs is None:
        return config, faults
    try:
        units = Units(units.batch_size, _epoch_of(data, length))
    except (ArtschoolError, OSError) as error:
        if units.counts_epochs:
            config.warnings.append(_assumed(data, error))
        return config, faults
    return structure(tree, units)


def _batch_size(tree: Node) -> int:
    """The number of samples in an iteration. The validation reports a wrong one."""
    value = tree.at(("data", "train", "batch_size")).value
    return int(value) if isinstance(value, int | float) and value >= 1 else 1


def _epoch_of(data: Component, length: int | None) -> int:
    assert isinstance(data.entry, DatasetEntry)
    length = _length_of(data) if length is None else length
    number = batches_per_epoch(length, data.entry.batch_size, drop_last=data.entry.drop_last)
    if number < 1:
        raise ConfigError(f"{data.path}: has no batch")
    return number


def _length_of(data: Component) -> int:
    dataset = construct_dataset(data)
    try:
        return len(dataset)
    except Exception as error:  # The data set's own code runs.
        raise ConfigError(f"{data.path}: expected a number of samples from `__len__`, got {error}") from error


def _assumed(data: Component, error: Exception) -> Fault:
    message = f"epochs are checked as if they had {ASSUMED_EPOCH:,} iterations, because the data set cannot be built"
    return Fault(data.node.place, data.path, message, first_line(error))
