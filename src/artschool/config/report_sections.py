"""What a run measures and writes: the sections of evaluations, `log` and `checkpoint`."""

from __future__ import annotations

from typing import Literal

from artschool.config.names import Name
from artschool.config.section import RawInjector, RawLogger, RawMetric, Section
from artschool.registry.signature import Count, Key, Natural, NetworkName
from artschool.registry.units import Interval


class EvaluationSection(Section):
    """A dataflow over held-out data, and metrics of its keys.

    Attributes:
        data: Data set to evaluate on: an entry of `data`.
        every: Interval between evaluations, in finished iterations. Training always ends with an evaluation. null: only
            that one.
        steps: Steps to run first, without training. Their mean losses are logged as `<evaluation>/<step>/<loss>`.
        injectors: Injectors by name. They run after `steps`, in file order, and have no gates.
        metrics: Metrics by name, logged as `<evaluation>/<metric>`. Required unless `steps` is set.
        ema: Whether to evaluate the moving averages of networks that have one. true: the first one of each network. A
            name such as `gen.slow`, or a list of names: only these.
    """

    data: str
    every: Interval | None = None
    steps: list[str] = []
    injectors: dict[Name, RawInjector] = {}
    metrics: dict[Name, RawMetric] = {}
    ema: bool | NetworkName | list[NetworkName] = True


DrawnRange = tuple[float, float] | Literal["auto", "imagenet"]


class PicturesSection(Section):
    """Keys to draw as grids of images in PNG files.

    Attributes:
        every: Interval at which images are drawn, in finished iterations.
        keys: Keys to draw: images (B, 1 or 3, H, W), maps (B, H, W), or sequences of images (B, T, C, H, W).
        most: Maximum number of samples in one grid.
        range: Values drawn as black and white. `auto`: the smallest and the largest value. `imagenet`: colours
            normalized with the mean and standard deviation of ImageNet. A mapping gives keys ranges of their own; the
            others are drawn in `[0, 1]`.
        frames: Indices, counted from 0, of the frames to draw of a sequence.
    """

    every: Interval
    keys: list[Key]
    most: Count = 8
    range: DrawnRange | dict[Key, DrawnRange] = (0.0, 1.0)
    frames: list[Natural] = [0]

    def range_of(self, key: str) -> DrawnRange:
        """The values of a key that are drawn as black and white."""
        return self.range.get(key, (0.0, 1.0)) if isinstance(self.range, dict) else self.range


class LogSection(Section):
    """Logging to the console, `metrics.jsonl`, TensorBoard and further loggers.

    Attributes:
        every: Interval between log points, in finished iterations. Each logged number is the mean since the last one.
        pictures: Keys to draw as images, and how often. null: no images.
        loggers: Loggers by name, in addition to the console, `metrics.jsonl` and TensorBoard.
    """

    every: Interval = 10
    pictures: PicturesSection | None = None
    loggers: dict[Name, RawLogger] = {}


class KeepBestSection(Section):
    """The choice of the best checkpoint.

    Attributes:
        metric: Metric that decides, as `<evaluation>/<metric>`. A checkpoint is saved as soon as it improves.
        mode: Direction of improvement. `min`: smaller is better. `max`: larger is better.
    """

    metric: str
    mode: Literal["min", "max"]


class CheckpointSection(Section):
    """Saving and keeping of checkpoints. The last iteration is always saved.

    Attributes:
        every: Interval between checkpoints, in finished iterations. null: only the last iteration.
        keep_last: Number of newest checkpoints to keep, in addition to the best one and the one resumed from. `all`:
            every checkpoint.
        state: Which checkpoints keep the state of optimizers, without which training cannot resume. `all`: every one.
            `last`: the newest one, the best one and the one resumed from; the others keep the weights.
        keep_best: Metric by which the best checkpoint is kept as well. null: no best checkpoint.
        max_failures: Number of saves in a row that the disk may refuse before the run ends. After each, training goes
            on and a save is tried again soon.
        background: Whether a checkpoint is written while training goes on, from a copy of the state in the memory of
            the CPU. null: yes on CUDA or if a network is sharded, otherwise no.
    """

    every: Interval | None = None
    keep_last: Count | Literal["all"] = 3
    state: Literal["all", "last"] = "all"
    keep_best: KeepBestSection | None = None
    max_failures: Count = 10
    background: bool | None = None
