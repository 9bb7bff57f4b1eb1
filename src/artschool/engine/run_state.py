"""The parts and the progress of a run."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import nn

from artschool import ranks
from artschool.config.sections import FileSections
from artschool.config.streams import TRAIN
from artschool.config.working_folder import WorkingFolder
from artschool.data.loader import Loader
from artschool.data.seeds import IterationSeeding
from artschool.engine.background import Saver
from artschool.engine.decisions import Decision, Stop
from artschool.engine.ema import Ema
from artschool.engine.evaluate import Evaluation
from artschool.engine.heartbeats import Heartbeats
from artschool.engine.hooks import hooks
from artschool.engine.identities import TrainedParameters
from artschool.engine.meters import Meters
from artschool.engine.module_state import Kind, buffer_kinds
from artschool.engine.observe import Observer
from artschool.engine.out_of_memory import Splitting
from artschool.engine.sample_count import samples_after
from artschool.engine.scores import Scores
from artschool.engine.streams import Stream, Streams
from artschool.engine.train_context import TrainContext
from artschool.engine.train_step import TrainStep
from artschool.engine.undo import Undo
from artschool.engine.unsaved import Saved, Unsaved
from artschool.storage.checkpoint_store import Checkpoint, CheckpointStore
from artschool.storage.run_lock import RunLock

Progress = Callable[[str, int, int], object]


def send(logger: object, method: str, *arguments: object) -> None:
    """Call a method of a logger if it has the method."""
    if (receive := getattr(logger, method, None)) is not None:
        receive(*arguments)


@dataclass
class RunState:
    """The parts and the progress of a run.

    Attributes:
        sections: The sections of the config file, without components.
        folder: The run folder.
        networks: The networks by name, on `device`.
        emas: The moving averages by their names in `ema.networks`.
        modules: Injectors, losses and other components that are modules, by path.
        iterations: Total number of iterations.
        config: The resolved config as plain values. `${env:...}` is not replaced.
        settings: The settings of the file with every default, which a resume compares. See `diff.settings`.
        config_texts: Files to write to the run folder: name to text.
        skipping: The steps whose updates were skipped before the last log point.
        snapshot: A copy of an earlier state in memory, for `train.non_finite: rewind`. None: none was taken.
        has_rewound: Whether the run has returned to that copy.
        scores: The last values of each loss.
        config_file: The config file. None: the run was not made of a file.
        overrides: The overrides of the config file.
        iteration: Number of finished iterations.
        seconds: Training time so far, including the time before a resume.
        streams: The data that the steps train on.
        data_offset: The position in random numbers minus `iteration`: iterations discarded by rollbacks.
        rollbacks: Number of rollbacks so far.
        best: Best value so far of the metric `checkpoint.keep_best.metric`, and the number of its checkpoint.
        pending: Whether the last finished iteration is still to be logged and evaluated, as far as that is due.
        saved_at: The number of finished iterations of the last state that is on the disk, or with which the run began.
        resumed_from: The number of the checkpoint from which the run has resumed.
        lock: The lock on the run folder, while the run is loaded to train and while it trains.
        known_checkpoints: The numbers of the checkpoints in the run folder when the run was loaded or has last trained.
        counted: The iteration of that checkpoint, and the number of samples up to it. None: the run has not resumed.
        built_buffers: Shape and dtype of each buffer when the run was built, by the owner in `stateful`.
        last_evaluation: The values of the latest evaluations, by name.
        saver: Writes the checkpoints.
        heartbeats: What the other processes do, while the run trains. None: there are none, or nothing is known.
        drawn: The keys that this process has drawn, as loggers get them.
        observer: Observes the data and the calls of networks for `data_examples.json`.
        partly_saved: What checkpoints contain of networks of which they do not contain everything.
        unsaved: What checkpoints leave out of these networks and their averages, by the owner in `stateful`.
        decisions: What follows a number of the log, by path.
        rank: The rank of this process.
        undo: Undoes an iteration that fails before its first update.
        look_failure: The first error of what only looks, in spite of which the run went on, and the iteration after
            which it came up.
        error: The error after which the current iteration is saved. Empty: it is saved because it is due.
        working_folder: The folder to which `folder` is relative.
        is_kept: Whether the folder stays. Otherwise each process may have its own, and no error or signal saves.
    """

    sections: FileSections
    folder: Path
    networks: dict[str, nn.Module]
    steps: list[TrainStep]
    emas: dict[str, Ema]
    modules: dict[str, nn.Module]
    streams: Streams
    evaluations: list[Evaluation]
    iterations: int
    context: TrainContext
    config: Any
    settings: Any
    config_texts: Mapping[str, str]
    loggers: Sequence[object] = ()
    iteration: int = 0
    seconds: float = 0.0
    data_offset: int = 0
    rollbacks: int = 0
    best: tuple[float, int] | None = None
    pending: bool = False
    saved_at: int | None = None
    resumed_from: int | None = None
    lock: RunLock | None = None
    known_checkpoints: list[int] | None = None
    counted: tuple[int, int] | None = None
    last_evaluation: dict[str, float] = field(default_factory=dict)
    drawn: set[str] = field(default_factory=set)
    partly_saved: Mapping[str, Saved] = field(default_factory=dict)
    unsaved: dict[str, Unsaved] = field(init=False, default_factory=dict)
    decisions: Mapping[str, Decision] = field(default_factory=dict)
    undo: Undo = field(init=False)
    look_failure: tuple[Exception, int] | None = None
    error: str = ""
    is_kept: bool = True
    skipping: set[str] = field(default_factory=set)
    snapshot: Checkpoint | None = None
    has_rewound: bool = False
    scores: Scores = field(init=False, default_factory=Scores)
    config_file: Path | None = None
    overrides: Sequence[str] = ()
    update_hooks: list[Callable[..., Any]] = field(init=False)
    trained_parameters: TrainedParameters = field(init=False)
    built_buffers: dict[str, dict[str, Kind | None]] = field(init=False)
    seeding: IterationSeeding = field(init=False)
    store: CheckpointStore = field(init=False)
    saver: Saver = field(init=False, default_factory=Saver)
    heartbeats: Heartbeats | None = None
    observer: Observer = field(default_factory=lambda: Observer({}))
    working_folder: WorkingFolder = field(default_factory=WorkingFolder)

    def __post_init__(self) -> None:
        self.seeding = IterationSeeding(self.sections.seed, ranks.rank(), self.device)
        self.store = CheckpointStore(self.folder / "checkpoints")
        if self.sections.train.on_out_of_memory == "split":
            self.context.splitting = Splitting(self.stateful.values(), self.device, self.note)
        self.update_hooks = [hook for _, hook in hooks(self.networks, "update_for_step")]
        self.trained_parameters = TrainedParameters(
            {name: network for step in self.steps if step.update is not None for name, network in step.networks.items()}
        )

        self.undo = Undo({**self.networks, **self.modules}, self.streams, self.meters, self.context)
        self.built_buffers = {owner: buffer_kinds(module) for owner, module in self.stateful.items()}

    def remember_built(self) -> None:
        """Compute hashes of what checkpoints leave out. Call this before anything is restored or trained."""
        moved = {parameter for step in self.steps if step.update is not None for parameter in step.update.parameters}
        for name, saved in self.partly_saved.items():
            network = self.networks[name]
            trained = {key for key, p in network.named_parameters(remove_duplicate=False) if p in moved}
            owners = {name: network} | {ema.name: ema.module for ema in self.emas.values() if ema.of == name}
            for owner, module in owners.items():
                self.unsaved[owner] = Unsaved(module, trained, saved, f"networks.{name}")

    @property
    def stop_reason(self) -> str:
        """Why `train.stop` ends the training; empty if it does not."""
        stop = self.decisions.get("train.stop")
        return stop.follower.reason if stop is not None and isinstance(stop.follower, Stop) else ""

    def cool_rates(self) -> None:
        """Multiply all learning rates by `train.cooling` once for each rollback so far."""
        for step in self.steps:
            if step.update is not None:
                step.update.scheduled.cooling = self.sections.train.cooling**self.rollbacks

    def evaluate(self, progress: Progress = lambda name, done, total: None) -> dict[str, float]:
        """Run every evaluation now.

        Args:
            progress: Called with the name of an evaluation, its number of finished batches, and that of all.

        Returns:
            The values by name, `<evaluation>/<metric>`.
        """
        values: dict[str, float] = {}
        try:
            for evaluation in self.evaluations:
                values |= self.measure(evaluation, progress)
        finally:
            for loader in self.loaders:
                loader.end_workers()
        return values

    def measure(self, evaluation: Evaluation, progress: Progress) -> dict[str, float]:
        """Run one evaluation, as `evaluate` does."""
        total = evaluation.batches.per_epoch
        progress(evaluation.name, 0, total)
        evaluation.progress = lambda done: progress(evaluation.name, done, total)
        return evaluation.run(self.iteration, self.device)

    def send(self, method: str, *arguments: object) -> None:
        """Call a method of every logger that has it."""
        for logger in self.loggers:
            send(logger, method, *arguments)

    def note(self, message: str) -> None:
        """Show a message to the user through every logger."""
        self.send("note", message)

    @property
    def device(self) -> torch.device:
        """The device of networks and batches."""
        return self.context.device

    @property
    def meters(self) -> Meters:
        """The numbers to log since the last log point."""
        return self.context.meters

    @property
    def data(self) -> Stream:
        """The stream `train`."""
        return self.streams.by_name[TRAIN]

    @property
    def loaders(self) -> list[Loader]:
        """The loaders of training and evaluations, without duplicates."""
        streams = self.streams.by_name.values()
        loaders = (*(stream.loader for stream in streams), *(evaluation.loader for evaluation in self.evaluations))
        return list({id(loader): loader for loader in loaders}.values())

    @property
    def is_finished(self) -> bool:
        """Whether nothing is left to train, to log or to evaluate."""
        return self.iteration >= self.iterations and not self.pending

    @property
    def next_record(self) -> int:
        """The first iteration, counted from 0, that is not logged yet."""
        return self.iteration - 1 if self.pending else self.iteration

    @property
    def samples(self) -> int:
        """Number of samples in the finished iterations, over all processes.

        Those before a resume count as they were, even if batches have another size now.
        """
        batches = self.data.batches
        if self.counted is None:
            return samples_after(self.iteration, self.sections.train, batches)
        start, samples = self.counted
        return samples + batches.samples_before(self.iteration) - batches.samples_before(start)

    @property
    def stateful(self) -> dict[str, nn.Module]:
        """Everything whose tensors a checkpoint contains: networks, averages as `gen.ema`, components by path."""
        return {**self.networks, **{ema.name: ema.module for ema in self.emas.values()}, **self.modules}
