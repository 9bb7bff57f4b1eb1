"""The streams of a file: the entries of `data` that give its steps one batch after another."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from itertools import takewhile

from artschool.config.data_keys import declared_keys
from artschool.config.structure import Component, Config, EvaluationConfig, StepConfig

TRAIN = "train"
"""The stream whose keys have their own names. Those of another stream have its name in front: `plain.image`."""


def key_in(stream: str, key: str) -> str:
    """The name of a key of a data set in the steps that read it from a stream."""
    return key if stream == TRAIN else f"{stream}.{key}"


def stream_of(key: str, config: Config) -> str:
    """The stream that a key belongs to by its name."""
    stream, dot, _ = key.partition(".")
    return stream if dot and stream in config.data else TRAIN


def keys_of(config: Config, streams: Iterable[str]) -> list[str]:
    """The keys that streams declare, as steps read them."""
    return [key_in(stream, key) for stream in streams for key in declared_keys(config.data.get(stream)) or ()]


def fed(config: Config) -> list[str]:
    """The streams of which each iteration takes a batch: `train`, and those that steps without `data` read."""
    pictures = config.sections.log.pictures
    read = set(pictures.read if pictures else ())
    for step in config.steps.values():
        if not step.section.streams:
            read |= read_by(step)
    return _in_order(config, {TRAIN, *(stream_of(key, config) for key in read)})


def taken(config: Config) -> list[str]:
    """The streams of which a step takes batches for itself."""
    return _in_order(config, {name for step in config.steps.values() for name in step.section.streams})


def streams(config: Config) -> list[str]:
    """All streams, `train` first."""
    return _in_order(config, {*fed(config), *taken(config)})


def streams_in(config: Config, step: StepConfig) -> list[str]:
    """The streams whose keys a step can read."""
    return step.section.streams or fed(config)


def replaced_by(config: Config, evaluation: EvaluationConfig) -> list[str]:
    """The streams in whose place the steps of an evaluation read its data: `train`, and those that they take."""
    steps = [config.steps[name] for name in evaluation.section.steps if name in config.steps]
    return list(dict.fromkeys([TRAIN, *(name for step in steps for name in step.section.streams[:1])]))


def other_streams(config: Config, step: StepConfig) -> dict[str, str]:
    """For each loss of a step that reads values of one stream alone, and not of the first of the step, that stream."""
    readable = streams_in(config, step)
    own = bool(step.section.streams)
    earlier = [] if own else list(takewhile(lambda other: other is not step, config.steps.values()))
    sources: dict[str, set[str]] = {}
    for each in [*(other for other in earlier if not other.section.streams), step]:
        for part in each.injectors_when(training=True):
            found = _sources(config, part, sources)
            for use in part.writes:
                sources.setdefault(use.name, set()).update(found)
    reads = {name: _sources(config, loss, sources) for name, loss in step.losses.items()}
    single = {name: next(iter(found)) for name, found in reads.items() if len(found) == 1}
    return {name: stream for name, stream in single.items() if stream != readable[0]}


def _sources(config: Config, part: Component, known: Mapping[str, set[str]]) -> set[str]:
    """The streams whose values a component reads."""
    return {stream for use in part.inputs for stream in known.get(use.name, {stream_of(use.name, config)})}


def read_by(step: StepConfig) -> set[str]:
    """The keys that a step reads when it trains."""
    return {use.name for part in step.parts_when(training=True) for use in part.reads} | set(step.section.requires)


def _in_order(config: Config, names: set[str]) -> list[str]:
    return sorted((name for name in config.data if name in names), key=lambda name: name != TRAIN)
