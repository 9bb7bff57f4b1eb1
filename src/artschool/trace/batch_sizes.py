"""How many samples the micro-batches of an iteration have."""

from __future__ import annotations

from artschool.config.sections import TrainSection
from artschool.config.structure import Config
from artschool.data.sampler import Batches
from artschool.errors import ConfigError, Fault


def refuse_small_batches(config: Config, batches: Batches, processes: int) -> None:
    """Refuse batches that leave a process without a sample.

    Raises:
        ConfigError: A batch has fewer samples than there are processes.
    """
    whole, last = batches.size(0), batches.size(batches.per_epoch - 1)
    if min(whole, last) >= processes:
        return
    option, which, hint = "batch_size", "a batch", "Fix: set a larger `batch_size`; it is the total over all processes."
    if whole >= processes:
        option, which, hint = "drop_last", "the last batch of an epoch", "Fix: write `drop_last: true`."
    data = config.data["train"]
    samples = f"{min(whole, last)} sample{'' if min(whole, last) == 1 else 's'}"
    message = f"{which} has {samples}, too few for {processes} processes"
    raise ConfigError(Fault((data.node.get(option) or data.node).place, f"{data.path}.{option}", message, hint))


class MicroBatchSizes:
    """The sizes of micro-batches in the process with the most samples.

    Args:
        train: The section `train`.
        batches: The batches of `data.train`.
        iterations: The number of iterations of the run.
        world_size: The number of processes that share a batch.
    """

    def __init__(self, train: TrainSection, batches: Batches, iterations: int, world_size: int) -> None:
        self._train = train
        self._whole = -(-batches.size(0) // world_size)
        finishes_an_epoch = train.start_iteration // batches.per_epoch < iterations // batches.per_epoch
        last = batches.per_epoch - 1 if finishes_an_epoch else 0
        self._last = max(1, batches.size(last) // world_size)

    def of(self, iteration: int) -> list[int]:
        """The size of the largest micro-batch, then of the smallest if it differs."""
        parts = self._train.num_micro_batches(iteration)
        largest, smallest = -(-self._whole // min(parts, self._whole)), max(1, self._last // min(parts, self._last))
        return list(dict.fromkeys([largest, smallest]))

    def explain(self, iteration: int, size: int) -> str:
        """Why a micro-batch is smaller than the batch of the file, or nothing if it is not."""
        parts = self._train.num_micro_batches(iteration)
        samples = f"{size} sample{'' if size == 1 else 's'}"
        if size < self._whole // parts:
            return f"This is the last batch of an epoch, with {samples}; `drop_last` skips it."
        if parts > 1:
            return f"This is a micro-batch of {samples}: `train` splits a batch into {parts} parts."
        return ""
