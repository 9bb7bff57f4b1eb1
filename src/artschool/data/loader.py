"""Batches of a data set in the sampler's order, loaded here or in workers, with the same bits either way."""

from __future__ import annotations

import signal
import traceback
from collections.abc import Generator, Iterable, Mapping, Sequence
from functools import partial
from typing import Any

import torch
from torch.utils.data import DataLoader

from artschool.data.collate import collate
from artschool.data.sampler import Position
from artschool.data.seeds import Seeds, seed_all
from artschool.errors import DataError


class Seeded:
    """A data set whose sample draws its random numbers from (seed, epoch, index), whoever loads it and when."""

    def __init__(self, dataset: Any, name: str, seed: int) -> None:
        self._dataset = dataset
        self._name = name
        self._seeds = Seeds(seed, "samples", name)

    def __getitem__(self, position: Position) -> Mapping[str, Any] | DataError:
        seed_all(self._seeds(position.epoch, position.sample))
        try:
            sample: Mapping[str, Any] = self._dataset[position.sample]
        except Exception as error:  # Whatever a data set raises is told with the sample it was asked for.
            frame = traceback.extract_tb(error.__traceback__)[-1]
            asked = f"{self._name}: sample {position.sample} (epoch {position.epoch})"
            return DataError(
                f"{asked} raised {type(error).__name__}: {error}\n    at {frame.filename}:{frame.lineno}: {frame.line}"
            )
        return sample

    def __len__(self) -> int:
        return len(self._dataset)


def length_of(dataset: Any, name: str) -> int:
    """The number of samples.

    Raises:
        DataError: It is no data set that can be asked for a sample by its index.
    """
    if not hasattr(dataset, "__getitem__") or not hasattr(dataset, "__len__"):
        raise DataError(f"{name}: a data set needs __len__ and __getitem__, {type(dataset).__name__} has not")
    return len(dataset)


def load_batches(
    dataset: Any,
    name: str,
    sampler: Iterable[list[Position]],
    *,
    seed: int,
    workers: int,
    device: torch.device,
) -> Generator[dict[str, Any]]:
    """The batches that the sampler lists, in its order.

    Raises:
        DataError: A sample cannot be read, or samples do not fit into one batch.
    """
    seeded = Seeded(dataset, name, seed)
    loader: Iterable[Any]
    if workers:
        loader = DataLoader(
            seeded,  # type: ignore[arg-type]  # map-style by its methods, not its base
            batch_sampler=sampler,
            collate_fn=partial(_collate_or_error, name),
            num_workers=workers,
            worker_init_fn=_leave_signals_to_the_main_process,
            pin_memory=device.type == "cuda",
        )
    else:
        loader = (_collate_or_error(name, [seeded[position] for position in batch]) for batch in sampler)
    for batch in loader:
        if isinstance(batch, DataError):
            raise batch
        yield batch


def _collate_or_error(name: str, samples: Sequence[Mapping[str, Any] | DataError]) -> dict[str, Any] | DataError:
    # An error travels from a worker as a value: raised there, it would arrive as the text of two tracebacks.
    for sample in samples:
        if isinstance(sample, DataError):
            return sample
    try:
        return collate([sample for sample in samples if not isinstance(sample, DataError)])
    except DataError as error:
        return DataError(f"{name}: {error}")


def _leave_signals_to_the_main_process(worker: int) -> None:
    # The signal reaches the whole process group; the main process still needs its workers to finish the iteration.
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    torch.set_num_threads(1)
