"""Who writes and reads the things that a file names: keys, networks, steps and data sets."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from artschool.config.flow import components_of, declared_keys
from artschool.config.source import Node
from artschool.config.structure import Component, Config, EvaluationConfig
from artschool.config.when import ALWAYS, When
from artschool.errors import nearest

Row = tuple[str, str]


def key_rows(config: Config, key: str) -> list[Row]:
    """Who writes and who reads a key: in training, then in each evaluation that has it."""
    rows = list(_in_flow(config, key, "train", _training(config)))
    if rows and all(label != "written by" for label, _ in rows):
        rows.insert(0, ("written by", f"nothing. {nearest(key, training_keys(config))}".strip()))
    rows += [
        ("read by", f"steps.{s.name}, which requires it") for s in config.steps.values() if key in s.section.requires
    ]
    if config.sections.log.pictures is not None and key in config.sections.log.pictures.keys:
        rows.append(("drawn by", f"log.pictures, every {config.sections.log.pictures.every} iterations"))
    for evaluation in config.evaluations.values():
        found = list(_in_evaluation(config, key, evaluation))
        if any(text.startswith(("evaluate.", "steps.")) for _, text in found):
            rows += [(f"evaluate {evaluation.name}", ""), *((f"  {label}", text) for label, text in found)]
    return rows


def training_keys(config: Config) -> list[str]:
    """The keys that something writes in training."""
    written = [use.name for component, _ in _training(config) for use in component.writes]
    return [*written, *(declared_keys(config.data.get("train")) or ())]


def _training(config: Config) -> list[tuple[Component, When]]:
    return [run for step in config.steps.values() for run in components_of(step)]


def _in_evaluation(config: Config, key: str, evaluation: EvaluationConfig) -> Iterator[Row]:
    steps = [config.steps[name] for name in evaluation.section.steps if name in config.steps]
    runs = [run for step in steps for run in components_of(step, training=False)]
    runs += [(each, ALWAYS) for each in [*evaluation.injectors.values(), *evaluation.metrics.values()]]
    return _in_flow(config, key, evaluation.section.data, runs)


def _in_flow(config: Config, key: str, data: str, runs: Iterable[tuple[Component, When]]) -> Iterator[Row]:
    runs = list(runs)
    if key in (declared_keys(config.data.get(data)) or ()):
        yield "written by", f"data.{data}"
    for component, when in runs:
        for use in component.writes:
            if use.name == key:
                yield "written by", _told(component, when)
    for component, when in runs:
        parameters = [use.parameter for use in component.reads if use.name == key]
        if parameters:
            yield "read by", _told(component, when, f" as {', '.join(dict.fromkeys(parameters))}")


def network_rows(config: Config, name: str) -> list[Row]:
    """Which steps train a network and which components call it."""
    rows = []
    averaged = name.removesuffix(".ema")
    for step in config.steps.values():
        if averaged in step.section.trained:
            gate = f", {step.section.trains_when}" if step.section.trains_when != ALWAYS else ""
            rows.append(("trained by", f"steps.{step.name} ({_place(step.node)}){gate}"))
    if not rows:
        unknown = f"no step: there is no such network. {nearest(averaged, config.networks)}".strip()
        rows.append(("trained by", "no step, so it stays as it is" if averaged in config.networks else unknown))
    ema = config.sections.ema
    if ema is not None and averaged in ema.decays:
        rows.append(("averaged", f"with decay {ema.decays[averaged]:g}, as the network '{averaged}.ema'"))
    runs = _training(config)
    for evaluation in config.evaluations.values():
        runs += [(each, ALWAYS) for each in [*evaluation.injectors.values(), *evaluation.metrics.values()]]
    runs += [(callback, callback.when) for step in config.steps.values() for callback in step.callbacks.values()]
    for component, when in runs:
        called = [use.name for use in component.networks if use.name.removesuffix(".ema") == averaged]
        if called:
            rows.append(("called by", _told(component, when, f" as {called[0]!r}" if called[0] != name else "")))
    return rows


def step_rows(config: Config, name: str) -> list[Row]:
    """What a step trains, when it runs, and which evaluations run it too."""
    step = config.steps[name]
    rows = [("trains", ", ".join(f"networks.{each}" for each in step.section.trained))]
    order = list(config.steps)
    rows.append(
        ("runs", f"as number {order.index(name) + 1} of {len(order)} in an iteration, {step.section.trains_when}")
    )
    called = {use.name for component, _ in components_of(step) for use in component.networks}
    if called - set(step.section.trained):
        rows.append(("calls", ", ".join(f"networks.{each}" for each in sorted(called - set(step.section.trained)))))
    for evaluation in config.evaluations.values():
        if name in evaluation.section.steps:
            rows.append(("run by", f"evaluate.{evaluation.name} too, without training"))
    return rows


def data_rows(config: Config, name: str) -> list[Row]:
    """Which keys a data set yields and who takes them."""
    keys = declared_keys(config.data.get(name))
    rows = [("yields", ", ".join(keys) if keys is not None else "keys that only the running data set can tell")]
    if name == "train":
        rows.append(("read by", "the steps"))
    takers = [each.name for each in config.evaluations.values() if each.section.data == name]
    rows += [("read by", f"evaluate.{taker}") for taker in takers]
    return rows if len(rows) > 1 else [*rows, ("read by", "nothing")]


def evaluation_rows(config: Config, name: str) -> list[Row]:
    """On which data an evaluation runs and when, which steps it runs, and what looks at it."""
    section = config.evaluations[name].section
    runs = f"every {section.every} finished iterations, and at the end" if section.every else "at the end"
    rows = [("on", f"data.{section.data}"), ("runs", runs)]
    rows += [("runs", f"steps.{step}, without training") for step in section.steps]
    best = config.sections.checkpoint.keep_best
    if best is not None and best.metric.startswith(f"{name}/"):
        rows.append(("read by", f"checkpoint.keep_best, which keeps the best {best.metric!r}"))
    return rows


def component_rows(config: Config, component: Component, when: When) -> list[Row]:
    """Which keys a component reads and writes, which networks it calls, and when it runs."""
    rows = []
    for use in component.reads:
        sources = [
            text.split(" (")[0] for label, text in _sources(config, component, use.name) if label == "written by"
        ]
        by = f", written by {', '.join(sources)}" if sources else ", which nothing writes"
        rows.append(("reads", f"{use.name} as {use.parameter}{by}"))
    rows += [("calls", f"networks.{use.name}") for use in component.networks]
    rows += [("writes", use.name) for use in component.writes]
    if component.kind in ("injectors", "losses", "callbacks"):
        rows.append(("runs", str(when)))
    return rows


def _sources(config: Config, component: Component, key: str) -> Iterator[Row]:
    name = component.path.split(".")[1]
    if component.path.startswith("evaluate.") and name in config.evaluations:
        return _in_evaluation(config, key, config.evaluations[name])
    return _in_flow(config, key, "train", _training(config))


def all_components(config: Config) -> Iterator[tuple[Component, When]]:
    """Every component of a file with when it runs, those inside others too."""
    runs = [(each, ALWAYS) for each in [*config.data.values(), *config.networks.values(), *config.loggers.values()]]
    for step in config.steps.values():
        when = step.section.when
        parts = [*step.injectors.values(), *step.losses.values(), *step.callbacks.values(), *step.schedule]
        parts += [step.optimizer] if step.optimizer is not None else []
        runs += [(each, when & each.when) for each in parts]
    for evaluation in config.evaluations.values():
        runs += [(each, ALWAYS) for each in [*evaluation.injectors.values(), *evaluation.metrics.values()]]
    for component, when in runs:
        yield from _with_inner(component, when)


def _with_inner(component: Component, when: When) -> Iterator[tuple[Component, When]]:
    yield component, when
    for inner in component.inner:
        yield from _with_inner(inner, when)


def _told(component: Component, when: When, more: str = "") -> str:
    gate = f", {when}" if when != ALWAYS else ""
    return f"{component.path}{more} ({_place(component.node)}){gate}"


def _place(node: Node) -> str:
    return str(node.start).rsplit("/", 1)[-1]
