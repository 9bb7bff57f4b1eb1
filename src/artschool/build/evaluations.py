"""The evaluations: their dataflow, metrics and data, and what is shown of their samples."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

from torch import Tensor

from artschool.build.bind import Binder
from artschool.build.data import batches_of
from artschool.build.shards import check_even
from artschool.build.steps import graph_of
from artschool.config.parallel import sharded_networks
from artschool.config.ranges import Reading, misfit, undeclared_readings
from artschool.config.streams import replaced_by
from artschool.config.structure import Config, EvaluationConfig
from artschool.data.loader import Loader
from artschool.engine.ema import Ema
from artschool.engine.evaluate import Evaluation
from artschool.engine.observe import Observer
from artschool.engine.samples import Samples
from artschool.registry.ranges import contradicts, measured

Note = Callable[[str], None]


def build_evaluations(
    config: Config,
    training: Binder,
    emas: Mapping[str, Ema],
    loaders: Mapping[str, Loader],
    note: Note,
    observer: Observer,
) -> list[Evaluation]:
    """The evaluations, in file order.

    Args:
        training: The binder of the steps, whose modules evaluations share.
        note: Called with warnings about data.
        observer: Sees the batches.
    """
    return [
        _evaluation(evaluation, config, training, emas, loaders[evaluation.section.data], note, observer)
        for evaluation in config.evaluations.values()
    ]


def _evaluation(
    evaluation: EvaluationConfig,
    config: Config,
    training: Binder,
    emas: Mapping[str, Ema],
    loader: Loader,
    note: Note,
    observer: Observer,
) -> Evaluation:
    binder = training.for_evaluation(config.averages_in(evaluation))
    batches = batches_of(config.data[evaluation.section.data], loader, training=False)
    sharded = sharded_networks(config)
    check_even(evaluation, sharded, batches.per_epoch)
    return Evaluation(
        name=evaluation.name,
        every=evaluation.section.every,
        loader=loader,
        batches=batches,
        steps=[graph_of(config.steps[name], config, binder, (), training=False) for name in evaluation.section.steps],
        injectors=[binder.injector(component) for component in evaluation.injectors.values()],
        metrics={name: binder.metric(component) for name, component in evaluation.metrics.items()},
        networks=[*binder.used, *binder.modules.values()],
        check_values=partial(_check_values, undeclared_readings(config, evaluation), note),
        is_even=bool(sharded),
        channels_last=config.sections.train.channels_last,
        averages=[ema for ema in emas.values() if any(network is ema.module for network in binder.used)],
        streams=replaced_by(config, evaluation),
        samples=_samples(evaluation, batches.batch_size),
        see=partial(observer.see, evaluation.section.data),
    )


def _samples(evaluation: EvaluationConfig, batch_size: int) -> Samples | None:
    """What is kept of the samples that an evaluation shows."""
    shown = evaluation.section.shown.values()
    keys = {name for section in shown for key in section.read for name in (key, f"{key}_lengths")}
    return Samples(sorted(keys), max(section.most for section in shown), batch_size) if keys else None


def _check_values(readings: Sequence[Reading], note: Note, values: Mapping[str, Any]) -> None:
    """Warn about data of an evaluation that hardly has the range that a metric expects."""
    for reading in readings:
        value = values.get(reading.use.name)
        found = measured(value) if isinstance(value, Tensor) else None
        if found is not None and contradicts(found, reading.expected):
            note(f"warning: {misfit(reading.component, reading.use, found, reading.expected)}")
