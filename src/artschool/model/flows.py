"""The dataflows of a file that can be used after training, and what they can compute."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from artschool.config.component import Component, network_of
from artschool.config.report_sections import ShownSection
from artschool.config.streams import TRAIN, fed, key_in, replaced_by, stream_of
from artschool.config.structure import Config, EvaluationConfig, StepConfig
from artschool.registry.roles import ComponentRole


@dataclass(frozen=True)
class Flow:
    """A dataflow: that of an evaluation, of an iteration, or of a step with batches of its own.

    Attributes:
        path: Its path in the file, such as `evaluate.photos`.
        injectors: Its injectors in the order in which they run.
        writers: The injector that writes each key. Of several, the one that is active after training.
        sources: The data set from which each stream of its keys comes.
        averages: The moving averages that it calls in place of networks.
    """

    path: str
    injectors: Sequence[Component]
    writers: Mapping[str, Component]
    sources: Mapping[str, str]
    averages: Mapping[str, str]


def flows_of(config: Config, iteration: int, *, average: bool = True) -> list[Flow]:
    """The dataflows of a file. Evaluations come first, since they use networks as a user does.

    Args:
        iteration: The last iteration, whose gates decide which of several injectors writes a key.
        average: Whether moving averages take the place of their networks.
    """
    flows = [_of_evaluation(config, evaluation, iteration) for evaluation in config.evaluations.values()]
    shared = [step for step in config.steps.values() if not step.section.streams]
    averages = {average.of: average.name for average in reversed(config.averages.values())}
    flows.append(_flow("steps", shared, [], iteration, {name: name for name in (TRAIN, *fed(config))}, averages))
    for step in config.steps.values():
        if step.section.streams:
            sources = {name: name for name in step.section.streams}
            flows.append(_flow(f"steps.{step.name}", [step], [], iteration, sources, averages))
    return flows if average else [replace(flow, averages={}) for flow in flows]


def default_keys(config: Config, flows: Sequence[Flow]) -> list[str]:
    """The keys that a user probably wants: results of the networks that the file is about.

    These networks are those with a moving average, or all of them if these give no result without others. Of their
    results, keys that the file shows while it trains come first, then those that are not inputs of further results.
    """
    averaged = {average.of for average in config.averages.values()}
    shown = {key for section in _shown(config) for key in section.keys}
    found = [_results(flow, averaged) for flow in flows]
    if not any(found):
        found = [_results(flow, set(config.networks)) for flow in flows]
    for results in found:
        if wanted := [key for key in results if key in shown]:
            return wanted
    for results in found:
        read = {use.name for writer in results.values() for use in writer.reads}
        last = [key for key in results if key not in read]
        if last:
            first = results[last[0]]
            return [key for key in last if results[key] is first]
    return []


def _shown(config: Config) -> Iterator[ShownSection]:
    """The sections of the file that show keys."""
    if config.sections.log.pictures is not None:
        yield config.sections.log.pictures
    for evaluation in config.evaluations.values():
        yield from evaluation.section.shown.values()


def data_key(flow: Flow, key: str, config: Config) -> tuple[str, str]:
    """The data set of a key of a dataflow, and the name of the key in a sample."""
    stream = stream_of(key, config)
    return flow.sources.get(stream, stream), key.removeprefix(key_in(stream, ""))


def _results(flow: Flow, main: Collection[str]) -> dict[str, Component]:
    """The keys that depend on main networks and on no others, with their writers, in the order of the dataflow."""
    found: dict[str, Component] = {}
    for injector in flow.injectors:
        called = {network_of(use.name) for use in injector.networks}
        from_main = called or any(use.name in found for use in injector.reads)
        if not from_main or not called <= set(main) or _only_trains(injector):
            continue
        found |= {use.name: injector for use in injector.writes if flow.writers.get(use.name) is injector}
    return found


def _only_trains(injector: Component) -> bool:
    return injector.registered is not None and ComponentRole.SAMPLER_TRAINING in injector.registered.roles


def _of_evaluation(config: Config, evaluation: EvaluationConfig, iteration: int) -> Flow:
    steps = [config.steps[name] for name in evaluation.section.steps]
    sources = dict.fromkeys(replaced_by(config, evaluation), evaluation.section.data)
    own = list(evaluation.injectors.values())
    return _flow(f"evaluate.{evaluation.name}", steps, own, iteration, sources, config.averages_in(evaluation))


def _flow(
    path: str,
    steps: Iterable[StepConfig],
    own: Sequence[Component],
    iteration: int,
    sources: Mapping[str, str],
    averages: Mapping[str, str],
) -> Flow:
    """A dataflow. Injectors that read the value of a loss are left out, since nothing computes it after training."""
    gated = [(part, step.section.when & part.when) for step in steps for part in step.injectors_when(training=False)]
    writers: dict[str, Component] = {}
    for injector, when in gated:
        for use in injector.writes:
            if when.active(iteration) or use.name not in writers:
                writers[use.name] = injector
    writers |= {use.name: injector for injector in own for use in injector.writes}
    return Flow(path, [*(part for part, _ in gated), *own], writers, sources, averages)
