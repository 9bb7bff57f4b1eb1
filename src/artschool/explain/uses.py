"""How the parts of a file use its keys, networks, steps and data sets."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from artschool.config.component import network_of
from artschool.config.data_keys import declared_keys
from artschool.config.step_parts import components_of, readers_of
from artschool.config.streams import TRAIN, key_in, keys_of, read_by, replaced_by, stream_of, streams
from artschool.config.structure import Component, Config, EvaluationConfig
from artschool.config.value_gates import rule_of_step
from artschool.config.when import ALWAYS, When
from artschool.explain.rows import Usage, UsageGroup, UsageKind
from artschool.wording.names import nearest

GatedComponent = tuple[Component, When]
"""A component with the iterations at which it runs."""


def key_usages(config: Config, key: str) -> list[Usage | UsageGroup]:
    """The writers and readers of a key: those of training, then those of each evaluation that uses it."""
    components = _training(config)
    writers = [*_data_writer(config, key, _trained_on(config)), *_writers(key, components)]
    readers = list(_readers(key, components))
    if readers and not writers:
        writers = [Usage(UsageKind.WRITTEN_BY, remark=f"nothing. {nearest(key, training_keys(config))}".strip())]
    usages: list[Usage | UsageGroup] = [*writers, *readers]
    for step in config.steps.values():
        if key in step.section.requires:
            usages.append(Usage(UsageKind.READ_BY, (f"steps.{step.name}",), remark="which requires it"))
    pictures = config.sections.log.pictures
    if pictures is not None and key in pictures.keys:
        usages.append(Usage(UsageKind.DRAWN_BY, ("log.pictures",), remark=f"every {pictures.due.cycle} iterations"))
    return usages + list(_usages_in_evaluations(config, key))


def _usages_in_evaluations(config: Config, key: str) -> Iterator[UsageGroup]:
    for evaluation in config.evaluations.values():
        components = _evaluation(config, evaluation)
        usages = [*_writers(key, components), *_readers(key, components)]
        for name, section in evaluation.section.shown.items():
            if key in section.read:
                usages.append(Usage(UsageKind.DRAWN_BY, (f"evaluate.{evaluation.name}.{name}",)))
        if usages:  # No group for a key that only the data set writes.
            data = _data_writer(config, key, _evaluated_on(config, evaluation))
            yield UsageGroup(f"evaluate {evaluation.name}", (*data, *usages))


def training_keys(config: Config) -> list[str]:
    """The keys that something writes in training."""
    written = [use.name for component, _ in _training(config) for use in component.writes]
    return [*written, *keys_of(config, streams(config))]


def _training(config: Config) -> list[GatedComponent]:
    """The injectors and losses of all steps."""
    return [component for step in config.steps.values() for component in readers_of(step)]


def _evaluation(config: Config, evaluation: EvaluationConfig) -> list[GatedComponent]:
    """The components that an evaluation runs: those of its steps, then its own."""
    steps = [config.steps[name] for name in evaluation.section.steps if name in config.steps]
    return [
        *(component for step in steps for component in components_of(step, training=False)),
        *_parts_of_evaluation(evaluation),
    ]


def _parts_of_evaluation(evaluation: EvaluationConfig) -> list[GatedComponent]:
    return [(part, ALWAYS) for part in (*evaluation.injectors.values(), *evaluation.metrics.values())]


def _trained_on(config: Config) -> dict[str, str]:
    """The data set of each stream."""
    return {name: name for name in streams(config)}


def _evaluated_on(config: Config, evaluation: EvaluationConfig) -> dict[str, str]:
    """The data set that an evaluation reads in place of each stream."""
    return dict.fromkeys(replaced_by(config, evaluation), evaluation.section.data)


def _data_writer(config: Config, key: str, sources: Mapping[str, str]) -> list[Usage]:
    """The data set as the writer of a key that it declares.

    Args:
        sources: The data set of each stream.
    """
    stream = stream_of(key, config)
    data = config.data.get(sources.get(stream, ""))
    is_declared = data is not None and key in (key_in(stream, own) for own in declared_keys(data) or ())
    return [Usage(UsageKind.WRITTEN_BY, (data.path,))] if data is not None and is_declared else []


def _writers(key: str, components: Iterable[GatedComponent]) -> Iterator[Usage]:
    for component, when in components:
        for use in component.writes:
            if use.name == key:
                yield _by(UsageKind.WRITTEN_BY, component, when)


def _readers(key: str, components: Iterable[GatedComponent]) -> Iterator[Usage]:
    for component, when in components:
        parameters = dict.fromkeys(use.parameter for use in component.reads if use.name == key)
        if parameters:
            yield _by(UsageKind.READ_BY, component, when, alias=", ".join(parameters))


def _by(kind: UsageKind, component: Component, when: When, alias: str = "") -> Usage:
    return Usage(kind, (component.path,), alias, component.node.start, when)


def network_usages(config: Config, name: str) -> list[Usage]:
    """The steps that train a network, its moving average, and the components that call it."""
    original = network_of(name)
    return [
        *_trainers(config, original),
        *_average(config, original),
        *_callers(config, name, original),
    ]


def _trainers(config: Config, network: str) -> list[Usage]:
    trainers = [
        Usage(UsageKind.TRAINED_BY, (f"steps.{step.name}",), "", step.node.start, step.section.trains_when)
        for step in config.steps.values()
        if network in step.section.trained
    ]
    if trainers:
        return trainers
    if network in config.networks:
        return [Usage(UsageKind.TRAINED_BY, remark="no step; its weights never change")]
    unknown = f"no step: unknown network. {nearest(network, config.networks)}".strip()
    return [Usage(UsageKind.TRAINED_BY, remark=unknown)]


def _average(config: Config, network: str) -> list[Usage]:
    return [
        Usage(UsageKind.AVERAGED, remark=f"with decay {average.decay:g} as {average.name}{average.interval}")
        for average in config.averages_of(network)
    ]


def _callers(config: Config, name: str, original: str) -> Iterator[Usage]:
    """The components that call a network or its average.

    Args:
        name: The name that is explained.
        original: The network itself, where that is the name of an average.
    """
    components = _training(config)
    for evaluation in config.evaluations.values():
        components += _parts_of_evaluation(evaluation)
    components += [(callback, callback.when) for step in config.steps.values() for callback in step.callbacks.values()]
    for component, when in components:
        called = [use.name for use in component.networks if network_of(use.name) == original]
        if called:
            yield _by(UsageKind.CALLED_BY, component, when, alias=repr(called[0]) if called[0] != name else "")


def step_usages(config: Config, name: str) -> list[Usage]:
    """The networks that a step trains and calls, when it runs, and the evaluations that run it too."""
    step, order = config.steps[name], list(config.steps)
    trained = step.section.trained
    repeat, rule = step.section.repeat, rule_of_step(step)
    turn = f"step {order.index(name) + 1} of {len(order)} in each iteration" + (f", {repeat} times" * (repeat > 1))
    turn += f", trains {rule}" if rule is not None else ""
    called = {use.name for component, _ in components_of(step) for use in component.networks} - set(trained)
    usages = [
        Usage(UsageKind.TRAINS, tuple(f"networks.{network}" for network in trained)),
        Usage(UsageKind.RUNS, gate=step.section.trains_when, remark=turn),
    ]
    if step.section.streams:
        parts = tuple(f"data.{stream}" for stream in step.section.streams)
        usages.append(Usage(UsageKind.READS, parts, remark="a fresh batch each time that it runs"))
    if step.shares is not None:
        usages.append(Usage(UsageKind.UPDATED_BY, (f"steps.{step.shares.name}.optimizer",)))
    if called:
        usages.append(Usage(UsageKind.CALLS, tuple(f"networks.{network}" for network in sorted(called))))
    for evaluation in config.evaluations.values():
        if name in evaluation.section.steps:
            usages.append(Usage(UsageKind.RUN_BY, (f"evaluate.{evaluation.name}",), remark="without training"))
    return usages


def data_usages(config: Config, name: str) -> list[Usage]:
    """The keys that a data set yields, and the steps and evaluations that read them."""
    keys = declared_keys(config.data.get(name))
    yields = Usage(UsageKind.YIELDS, tuple(keys)) if keys is not None else _UNDECLARED
    readers = ["the steps"] if name == TRAIN else [f"steps.{step}" for step in _steps_on(config, name)]
    readers += [
        f"evaluate.{evaluation.name}" for evaluation in config.evaluations.values() if evaluation.section.data == name
    ]
    return [yields, *(Usage(UsageKind.READ_BY, (reader,)) for reader in readers or ["nothing"])]


def _steps_on(config: Config, stream: str) -> list[str]:
    """The steps that read a stream other than `train`."""
    steps = config.steps.values()
    return [s.name for s in steps if stream in {*s.section.streams, *(stream_of(key, config) for key in read_by(s))}]


_UNDECLARED = Usage(UsageKind.YIELDS, remark="keys that are known only when it is loaded")


def evaluation_usages(config: Config, name: str) -> list[Usage]:
    """The data that an evaluation runs on, when it runs, the steps that it runs, and who reads its metrics."""
    section = config.evaluations[name].section
    due = f"every {section.every} finished iterations, and at the end" if section.every else "at the end"
    usages = [Usage(UsageKind.ON, (f"data.{section.data}",)), Usage(UsageKind.RUNS, remark=due)]
    usages += [Usage(UsageKind.RUNS, (f"steps.{step}",), remark="without training") for step in section.steps]
    best = config.sections.checkpoint.keep_best
    if best is not None and best.metric.startswith(f"{name}/"):
        remark = f"which keeps the best {best.metric!r}"
        usages.append(Usage(UsageKind.READ_BY, ("checkpoint.keep_best",), remark=remark))
    return usages


def component_usages(config: Config, component: Component, when: When) -> list[Usage]:
    """The keys that a component reads and writes, the networks that it calls, and when it runs."""
    usages = []
    for use in component.reads:
        writers = [part for writer in _writers_for(config, component, use.name) for part in writer.parts]
        source = f"written by {', '.join(writers)}" if writers else "which nothing writes"
        usages.append(Usage(UsageKind.READS, (use.name,), use.parameter, remark=source))
    usages += [Usage(UsageKind.CALLS, (f"networks.{use.name}",)) for use in component.networks]
    usages += [Usage(UsageKind.WRITES, (use.name,)) for use in component.writes]
    if component.kind in ("injectors", "losses", "callbacks"):
        usages.append(Usage(UsageKind.RUNS, gate=when))
    return usages


def _writers_for(config: Config, component: Component, key: str) -> list[Usage]:
    """The writers of a key in the dataflow that a component belongs to."""
    section, name = component.path.split(".")[:2]
    if section == "evaluate" and name in config.evaluations:
        evaluation = config.evaluations[name]
        sources, components = _evaluated_on(config, evaluation), _evaluation(config, evaluation)
    elif section == "steps" and (own := config.steps[name]).section.streams:
        sources, components = {stream: stream for stream in own.section.streams}, [*components_of(own)]
    else:
        shared = (step for step in config.steps.values() if not step.section.streams)
        sources, components = _trained_on(config), [run for step in shared for run in components_of(step)]
    return [*_data_writer(config, key, sources), *_writers(key, components)]


def all_components(config: Config) -> Iterator[GatedComponent]:
    """Every component of a file with the iterations at which it runs, those inside others too."""
    components = [
        (part, ALWAYS) for part in (*config.data.values(), *config.networks.values(), *config.loggers.values())
    ]
    for step in config.steps.values():
        when = step.section.when
        parts = [*step.injectors.values(), *step.losses.values(), *step.callbacks.values(), *step.schedule]
        parts += [step.optimizer] if step.optimizer is not None and step.shares is None else []
        components += [(part, when & part.when) for part in parts]
    for evaluation in config.evaluations.values():
        components += _parts_of_evaluation(evaluation)
    components += [(phase, ALWAYS) for number in config.numbers for phase in number.phases]
    for component, when in components:
        yield from _with_inner(component, when)


def _with_inner(component: Component, when: When) -> Iterator[GatedComponent]:
    yield component, when
    for inner in component.inner:
        yield from _with_inner(inner, when)
