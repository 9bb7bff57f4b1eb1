"""Run every step of a checked file on tensors without values: shapes, gradients and memory, before training starts."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

import torch
from torch.nn.parameter import is_lazy

from artschool import ranks
from artschool.build.compiling import check_backends
from artschool.build.data import batches_of, build_data
from artschool.build.run import build
from artschool.config.streams import streams
from artschool.config.structure import Config
from artschool.data.loader import Loader
from artschool.data.seeds import derive, forked_rng
from artschool.engine.room import checkpoint_bytes, checkpoints_kept
from artschool.engine.run import Run
from artschool.errors import ConfigError, DataError
from artschool.faults import Fault
from artschool.read.check import in_reading_order, once_per_cause
from artschool.trace.batch_sizes import refuse_small_batches
from artschool.trace.child_process import in_child_process
from artschool.trace.evaluations import TracedEvaluations, trace_evaluations
from artschool.trace.fake import fake_tensors, is_about_missing_values
from artschool.trace.first_batches import Samples, first_batches
from artschool.trace.memory import OPTIMIZER
from artschool.trace.observe import Untraceable
from artschool.trace.pictures import picture_faults
from artschool.trace.ranges import range_warnings
from artschool.trace.report import Trace
from artschool.trace.scalars import notes_of_scalars
from artschool.trace.training import TrainingTrace
from artschool.trace.training_faults import hidden_faults, unlogged_faults, untrained_faults


@dataclass(frozen=True)
class _Inputs:
    """What a trace needs besides the file.

    Attributes:
        batches: The samples of the trace.
        world_size: The number of processes that will share a batch.
    """

    loaders: Mapping[str, Loader]
    batches: Sequence[Samples]
    world_size: int


class _NeedsValues(Exception):  # noqa: N818  # nothing went wrong
    """Training has to run with values.

    Attributes:
        reason: What needs them.
        evaluations: The evaluations, which were traced without values.
    """

    def __init__(self, reason: str, evaluations: TracedEvaluations) -> None:
        super().__init__(reason)
        self.reason = reason
        self.evaluations = evaluations


def trace(config: Config, processes: int | None = None) -> Trace:
    """Run each regime of a checked file once, without values, or with values if something needs them.

    Nothing is written, and the state of the random generators is restored.

    Args:
        config: A checked file.
        processes: The number of processes that share a batch. None: those that `torchrun` has started, or one.

    Raises:
        ConfigError: Carries every fault that was found.
        DataError: A batch cannot be loaded. With `data.x.example`, none is loaded.
    """
    check_backends(config)
    world_size = processes or ranks.launched_processes()
    with forked_rng(derive(config.sections.seed, "trace"), torch.device("cpu")), ranks.single_process():
        remarks: list[str] = []
        loaders = _loaders(config, remarks.append)
        for name in streams(config):
            batches_of_stream = batches_of(config.data[name], loaders[name], training=True)
            refuse_small_batches(config, name, batches_of_stream, world_size)
        batches = first_batches(config, loaders)
        found = _trace_inputs(config, _Inputs(loaders, batches.sets, world_size))
        found.notes[:0] = [*remarks, *batches.notes]
        found.warnings += dict.fromkeys(range_warnings(config, batches.sets[0], found.networks, found.keys))
        return found


def _trace_inputs(config: Config, inputs: _Inputs) -> Trace:
    try:
        return _trace_without_values(config, inputs)
    except _NeedsValues as error:
        needs_values = error
    found = _trace_with_values(config, inputs, needs_values.evaluations)
    found.notes.insert(0, f"{needs_values.reason}, so micro-batches ran with values")
    return found


def _trace_without_values(config: Config, inputs: _Inputs) -> Trace:
    with TemporaryDirectory() as folder, fake_tensors() as copyable:
        with copyable:
            run = _build_without_values(config, Path(folder), inputs.loaders)
        _refuse_lazy_modules(config, run)
        training = TrainingTrace(config, run, inputs.batches, inputs.world_size, real=False)
        with _traced_meanwhile(config, training, inputs) as wait_for_evaluations:
            try:
                with torch.autograd.set_detect_anomaly(False):
                    training.run_regimes()
            except Untraceable as error:
                raise _NeedsValues(str(error), wait_for_evaluations()) from error
            return _report(config, training, wait_for_evaluations)


def _trace_with_values(config: Config, inputs: _Inputs, evaluations: TracedEvaluations) -> Trace:
    with TemporaryDirectory() as folder:
        run = build(config, Path(folder), device=None, loaders=inputs.loaders)
        _refuse_lazy_modules(config, run)
        training = TrainingTrace(config, run, inputs.batches, inputs.world_size, real=True)
        with torch.autograd.set_detect_anomaly(config.sections.train.detect_anomaly):
            training.run_regimes()
        return _report(config, training, lambda: evaluations)


@contextmanager
def _traced_meanwhile(
    config: Config, training: TrainingTrace, inputs: _Inputs
) -> Iterator[Callable[[], TracedEvaluations]]:
    """Trace evaluations in another process. Yields a function that waits for the result."""
    if not training.run.evaluations:
        yield TracedEvaluations
        return
    evaluate = partial(trace_evaluations, config, training.run, inputs.batches[0], training)
    with in_child_process(evaluate) as result:
        yield result


def _report(config: Config, training: TrainingTrace, wait_for_evaluations: Callable[[], TracedEvaluations]) -> Trace:
    """What was found.

    Raises:
        ConfigError: Faults were found.
    """
    faults = [*training.faults, *hidden_faults(config, training), *training.saved.faults()]
    if not faults:
        faults = [*untrained_faults(config, training), *unlogged_faults(config, training)]
        faults += picture_faults(config, training.observer.keys)
    evaluations = wait_for_evaluations()
    # Faults of training come first: an evaluation is mentioned only if it has further faults.
    if faults := [*in_reading_order(faults), *evaluations.faults]:
        raise ConfigError(once_per_cause(_first_of_each_location(faults)))
    return Trace(
        regimes=training.iterations,
        keys=training.observer.keys,
        steps={name: keys for name, keys in training.observer.scopes.items() if name},
        evaluations=evaluations.keys,
        reached=training.observer.gradients.reaches,
        networks=training.run.networks,
        memory=training.memory,
        processes=training.world_size,
        checkpoint=checkpoint_bytes(training.run) + training.memory.lasting[OPTIMIZER],
        kept=checkpoints_kept(config.sections.checkpoint, training.run.iterations),
        real=training.observer.real,
        notes=[
            *training.notes,
            *training.saved.notes,
            *evaluations.notes,
            *notes_of_scalars(config, training.observer.keys, training.world_size),
        ],
    )


def _loaders(config: Config, note: Callable[[str], None]) -> dict[str, Loader]:
    try:
        return build_data(config, examples=True, note=note)
    except DataError as error:
        error.add_note("A trace needs no data if the data set has an `example:` that describes a sample.")
        raise


def _build_without_values(config: Config, folder: Path, loaders: Mapping[str, Loader]) -> Run:
    try:
        return build(config, folder, device=torch.device("cpu"), loaders=loaders)
    except Exception as error:  # Of any component, in the words of torch.
        if not is_about_missing_values(error):
            raise
        note = "evaluations were not traced: with values they may take as long as training"
        evaluations = TracedEvaluations(notes=[note] if config.evaluations else [])
        raise _NeedsValues("building a network or component reads the values of tensors", evaluations) from error


def _refuse_lazy_modules(config: Config, run: Run) -> None:
    for name, network in run.networks.items():
        if any(is_lazy(parameter) for parameter in network.parameters()):
            message = "cannot be traced: it has lazy modules, whose shapes depend on the first batch"
            hint = "Fix: give the modules their sizes, or train with --no-trace."
            raise ConfigError(Fault(config.networks[name].node.place, f"networks.{name}", message, hint))


def _first_of_each_location(faults: Iterable[Fault]) -> list[Fault]:
    """One fault of each location. Several regimes may find a fault there."""
    by_location: dict[object, Fault] = {}
    for fault in faults:
        by_location.setdefault((fault.place, fault.path), fault)
    return list(by_location.values())
