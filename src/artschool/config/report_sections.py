"""What a run measures and writes: the sections of evaluations, `log` and `checkpoint`."""

from __future__ import annotations

from typing import Literal

from artschool.config.names import Name
from artschool.config.section import RawInjector, RawLogger, RawMetric, Section
from artschool.config.when import When
from artschool.registry.entries import EveryEntry
from artschool.registry.signature import Count, Key, Natural, NetworkName, Positive
from artschool.registry.units import Interval

DrawnRange = tuple[float, float] | Literal["auto", "imagenet"]


class ShownSection(Section):
    """Keys whose first samples are shown.

    Attributes:
        keys: Keys to show.
        most: Maximum number of samples of a key.
        labels: Key of numbers or texts, one for each sample, to write below its image. null: no labels.
    """

    keys: list[Key]
    most: Count = 8
    labels: Key | None = None

    @property
    def read(self) -> list[Key]:
        """Every key that is read."""
        return [*self.keys, *([self.labels] if self.labels is not None else [])]


class DrawnSection(ShownSection):
    """Keys that are drawn.

    Attributes:
        range: Values drawn as black and white. `auto`: the smallest and the largest value. `imagenet`: colours
            normalized with the mean and standard deviation of ImageNet. A mapping gives keys ranges of their own; the
            others are drawn in `[0, 1]`.
    """

    range: DrawnRange | dict[Key, DrawnRange] = (0.0, 1.0)

    def range_of(self, key: str) -> DrawnRange:
        """The values of a key that are drawn as black and white."""
        return self.range.get(key, (0.0, 1.0)) if isinstance(self.range, dict) else self.range


class ImagesSection(DrawnSection):
    """Keys to draw as grids of images in PNG files.

    Attributes:
        keys: Keys to draw: images (B, 1 or 3, H, W), maps (B, H, W), or sequences of images (B, T, C, H, W).
        most: Maximum number of samples in one grid.
        frames: Indices, counted from 0, of the frames to draw of a sequence.
    """

    frames: list[Natural] = [0]


class PicturesSection(ImagesSection):
    """Keys of training to draw as grids of images in PNG files.

    Attributes:
        every: Interval at which images are drawn, in finished iterations: when their number is a multiple of this
            number, or with `{of: 10, at: 1}` when its remainder by 10 is 1, as after 1, 11 and 21 iterations.
    """

    every: Interval | EveryEntry

    @property
    def due(self) -> When:
        """The numbers of finished iterations after which images are drawn."""
        return When.gated(0, None, self.every)


class AudioSection(ShownSection):
    """Keys to write as WAV files and as images of their spectrograms.

    Attributes:
        keys: Keys of sound in -1..1: (B, T), or (B, C, T) with one or two channels C. Where there is a key
            `<key>_lengths`, each sample ends there.
        rate: Samples per second.
    """

    rate: Count


class VideoSection(DrawnSection):
    """Keys to write as animated images.

    Attributes:
        keys: Keys of sequences of images (B, T, 1 or 3, H, W).
        fps: Images per second.
    """

    fps: Positive = 8.0


class EvaluationSection(Section):
    """A dataflow over held-out data, and metrics of its keys.

    Attributes:
        data: Data set to evaluate on: an entry of `data`.
        every: Interval between evaluations, in finished iterations. Training always ends with an evaluation. null: only
            that one.
        steps: Steps to run first, without training. Their mean losses are logged as `<evaluation>/<step>/<loss>`.
        injectors: Injectors by name. They run after `steps`, in file order, and have no gates.
        metrics: Metrics by name, logged as `<evaluation>/<metric>`. Required unless `steps`, `pictures`, `audio` or
            `video` is set.
        ema: Whether to evaluate the moving averages of networks that have one. true: the first one of each network. A
            name such as `gen.slow`, or a list of names: only these.
        pictures: Keys to draw as images, of the first samples of the data. null: no images.
        audio: Keys to write as sound, with spectrograms. null: no sound.
        video: Keys to write as animated images. null: none.
    """

    data: str
    every: Interval | None = None
    steps: list[str] = []
    injectors: dict[Name, RawInjector] = {}
    metrics: dict[Name, RawMetric] = {}
    ema: bool | NetworkName | list[NetworkName] = True
    pictures: ImagesSection | None = None
    audio: AudioSection | None = None
    video: VideoSection | None = None

    @property
    def shown(self) -> dict[str, ShownSection]:
        """The sections of keys to show, by their names."""
        sections = {"pictures": self.pictures, "audio": self.audio, "video": self.video}
        return {name: section for name, section in sections.items() if section is not None}


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
        background: Whether training continues while a checkpoint is hashed and brought to the disk. State on a device
            is first copied to the memory of the CPU. null: yes on CUDA or if a network is sharded, otherwise no.
    """

    every: Interval | None = None
    keep_last: Count | Literal["all"] = 3
    state: Literal["all", "last"] = "all"
    keep_best: KeepBestSection | None = None
    max_failures: Count = 10
    background: bool | None = None
