"""Which batches a trace runs, and how many samples their micro-batches have."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from artschool.config.streams import TRAIN
from artschool.config.structure import Config
from artschool.config.train_section import TrainSection
from artschool.data.examples import resized
from artschool.data.sampler import Batches
from artschool.engine.streams import Part, Streams
from artschool.errors import ConfigError
from artschool.faults import Fault
from artschool.trace.first_batches import Samples


def refuse_small_batches(config: Config, name: str, batches: Batches, processes: int) -> None:
    """Refuse batches that leave a process without a sample.

    Args:
        name: The stream.

    Raises:
        ConfigError: A batch has fewer samples than there are processes.
    """
    whole, last = batches.size(0), batches.size(batches.per_epoch - 1)
    if min(whole, last) >= processes:
        return
    option, which, hint = "batch_size", "a batch", "Fix: set a larger `batch_size`; it is the total over all processes."
    if whole >= processes:
        option, which, hint = "drop_last", "the last batch of an epoch", "Fix: write `drop_last: true`."
    data = config.data[name]
    samples = f"{min(whole, last)} sample{'' if min(whole, last) == 1 else 's'}"
    message = f"{which} has {samples}, too few for {processes} processes"
    raise ConfigError(Fault((data.node.get(option) or data.node).place, f"{data.path}.{option}", message, hint))


class TracedBatches:
    """Batches of the sizes that training has.

    Args:
        train: The section `train`.
        iterations: The number of iterations of the run.
        world_size: The number of processes that share a batch.
    """

    def __init__(
        self,
        train: TrainSection,
        streams: Streams,
        iterations: int,
        world_size: int,
    ) -> None:
        self._train = train
        self._streams = streams
        self._whole: dict[str, int] = {}
        self._last: dict[str, int] = {}
        for name, stream in streams.by_name.items():
            batches = stream.batches
            finishes_an_epoch = train.start_iteration // batches.per_epoch < iterations // batches.per_epoch
            last = batches.per_epoch - 1 if finishes_an_epoch or name in streams.taken else 0
            self._whole[name] = -(-batches.size(0) // world_size)
            self._last[name] = max(1, batches.size(last) // world_size)

    def kinds(self, iteration: int) -> list[bool]:
        """The kinds of an iteration: [False], that with the largest batches; also True if others are smaller."""
        names = list(self._streams.by_name)
        return [False, True] if self.sizes(names, iteration) != self.sizes(names, iteration, is_small=True) else [False]

    def sizes(self, streams: Iterable[str], iteration: int, *, is_small: bool = False) -> dict[str, int]:
        """The size of a micro-batch of a batch of streams, in the process with the most samples, or the fewest."""
        whole = {name: (self._last if is_small else self._whole)[name] for name in streams}
        parts = min(self._train.num_micro_batches(iteration), *whole.values())
        return {name: max(1, size // parts) if is_small else -(-size // parts) for name, size in whole.items()}

    def parts(self, samples: Samples, sizes: Mapping[str, int], count: int, processes: int = 1) -> dict[str, Part]:
        """A batch by stream, made of some samples: `count` micro-batches of these sizes in each of some processes."""
        batches = {name: resized(samples[name], count * size) for name, size in sizes.items()}
        return {
            name: Part(self._streams.by_name[name].named(batch), count * sizes[name] * processes)
            for name, batch in batches.items()
        }

    def explain(self, iteration: int, sizes: Mapping[str, int]) -> str:
        """Why the micro-batches are smaller than the batches of the file, or nothing if they are not."""
        parts = self._train.num_micro_batches(iteration)
        name = next((name for name, size in sizes.items() if size < self._whole[name] // parts), None)
        shown = name or next(iter(sizes))
        of = "" if shown == TRAIN else f" of data.{shown}"
        samples = f"{sizes[shown]} sample{'' if sizes[shown] == 1 else 's'}"
        if name is not None:
            return f"This is the last batch of an epoch{of}, with {samples}; `drop_last` skips it."
        if parts > 1:
            return f"This is a micro-batch of {samples}: `train` splits a batch into {parts} parts."
        return ""
