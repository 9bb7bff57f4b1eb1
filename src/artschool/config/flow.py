"""The check of the key flow: each key is written exactly once per iteration, before it is read."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import replace
from functools import partial

from artschool.config.data_keys import declared_keys, undeclared
from artschool.config.drawn import undrawn
from artschool.config.report_sections import PicturesSection, ShownSection
from artschool.config.shown import PICTURES, shown_keys
from artschool.config.source import KeyPath
from artschool.config.step_parts import components_of, never_runs, readers_of
from artschool.config.streams import TRAIN, fed, key_in, replaced_by, stream_of, streams
from artschool.config.structure import Component, Config, EvaluationConfig, StepConfig
from artschool.config.when import ALWAYS, When
from artschool.config.written_keys import Flow, cause_of_unknown, unwritten
from artschool.faults import Fault, FaultKind
from artschool.wording.counting import counted


def check_flow(config: Config) -> tuple[list[Fault], list[Fault]]:
    """Check all steps and evaluations.

    Returns:
        Faults and warnings.
    """
    faults: list[Fault] = []
    last = config.length
    during = When(before=last - 1 if last else None)
    warnings = [undeclared(config.data[name]) for name in streams(config) if declared_keys(config.data[name]) is None]
    flows = _flows(config, during)
    rest = [(step, run) for step in config.steps.values() for run in readers_of(step)]
    for step in config.steps.values():
        flow, runs, given = flows[step.name], list(readers_of(step)), step.section.requires
        flow.late |= {injector.path for injector in step.late_injectors_when(training=True)}
        rest = rest[len(runs) :]
        later = [run for other, run in rest if flows[other.name] is flow]
        for index, (component, when) in enumerate(runs):
            if (when & during).first() is None:
                warnings.append(never_runs(component, when, during))
            else:
                faults += flow.check_reads(component, component.inputs, when, [*runs[index + 1 :], *later], given)
                faults += _check_outputs(component)
            faults += flow.check_writes(component, when)
        for component, when in runs:
            faults += flow.check_reads(component, component.weighed_by, when, later, given)
    faults += _check_required(config)
    if (pictures := config.sections.log.pictures) is not None:
        faults += _check_shown(PICTURES, config, pictures, flows[""])
        for always, fault in _undrawn(config, pictures, flows[""]):
            (faults if always else warnings).append(fault)
    read = {key for flow in flows.values() for key in flow.read}
    for evaluation in config.evaluations.values():
        faults += _check_evaluation(config, evaluation, during, read)
    unread = list(_unread(config, read))
    warnings += unread
    warnings += _late_warmups(config)
    return _with_wrong_output(faults, unread), warnings


def _with_wrong_output(faults: list[Fault], unread: Sequence[Fault]) -> list[Fault]:
    """The faults, in which readers of unknown keys share the cause with the one `out` that is probably wrong.

    It writes a key that exists, and its readers come later, or one that nothing reads.
    """
    wrong = [fault for fault in faults if fault.kind is FaultKind.REWRITTEN_KEY] or unread
    if len(wrong) != 1:
        return faults
    path, cause = wrong[0].path, f"{wrong[0].path} is wrong"
    why = "something else writes too" if wrong[0].kind is FaultKind.REWRITTEN_KEY else "nothing reads"
    hint = f"{path} at {wrong[0].place} writes {wrong[0].found!r}, which {why}."

    def joined(fault: Fault) -> Fault:
        if fault is wrong[0]:
            return replace(fault, cause=cause)
        is_unknown = fault.kind is FaultKind.UNWRITTEN_KEY and fault.cause == cause_of_unknown(fault.found)
        return replace(fault, cause=cause, hint=f"{fault.hint}\n{hint}") if is_unknown else fault

    first = faults.index(wrong[0]) if wrong[0] in faults else 0
    return [*faults[:first], *map(joined, faults[first:])]


def _flows(config: Config, during: When = ALWAYS) -> dict[str, Flow]:
    """The dataflow of each step: that of the iteration, which also has the name "", or one of its own."""
    shared = Flow.of_data(
        config, {name: name for name in (TRAIN, *fed(config))}, during, partial(_in_another_step, config)
    )
    flows = {"": shared}
    for step in config.steps.values():
        own, elsewhere = step.section.streams, partial(_in_the_iteration, config, step)
        flows[step.name] = Flow.of_data(config, {name: name for name in own}, during, elsewhere) if own else shared
    return flows


def _in_another_step(config: Config, key: str) -> str:
    """Why the dataflow of an iteration lacks a key that a step with batches of its own writes."""
    for step in config.steps.values():
        if step.section.streams and any(use.name == key for c, _ in components_of(step) for use in c.writes):
            path = f"steps.{step.name}"
            return f"{path} writes {key!r}, but has `data`, so that no other step sees what it writes."
    return ""


def _in_the_iteration(config: Config, step: StepConfig, key: str) -> str:
    """Why the dataflow of a step with batches of its own lacks a key that others have."""
    stream, own = stream_of(key, config), step.section.streams
    yielded = declared_keys(config.data.get(stream))
    if stream not in own and (yielded is None or key in (key_in(stream, name) for name in yielded)):
        listed = ", ".join([*own, stream])
        return f"The step reads fresh batches of {', '.join(own)} alone. Fix: write `data: [{listed}]`."
    others = [other for other in config.steps.values() if other is not step]
    if any(use.name == key for other in others for c, _ in components_of(other) for use in c.writes):
        return f"Another step writes {key!r}, but this one has `data`, so that it sees only what it writes itself."
    return ""


def _not_evaluated(config: Config, evaluation: EvaluationConfig, key: str) -> str:
    """Why an evaluation lacks a key of a stream, or one that a step writes while it trains."""
    stream, section, path = stream_of(key, config), evaluation.section, f"evaluate.{evaluation.name}"
    if stream != TRAIN:
        return (
            f"The steps of an evaluation read data.{section.data} in place of `train`, and of the one stream in their "
            f"own `data`.\nFix: evaluate other steps, or compute what you need in `{path}.injectors`."
        )
    for step in config.steps.values():
        for component in step.injectors.values():
            if any(use.name == key for use in component.writes):
                if step.name in section.steps:
                    return f"{path} runs the step without {component.path}, which has `only: training`."
                return (
                    f"{path} does not run {component.path}, which writes it in training. Fix: compute it in `{path}`."
                )
    return ""


def written_when(config: Config, keys: Iterable[str]) -> dict[str, list[When]]:
    """For each key of the dataflow of an iteration, the iterations at which something writes it.

    A key that the file does not name may be written by a data set, at every iteration.
    """
    flow = _flows(config)[""]
    for step in config.steps.values():
        for component, when in components_of(step) if not step.section.streams else ():
            list(flow.check_writes(component, when))
    return {key: [writer.when for writer in flow.writers.get(key, ())] or [ALWAYS] for key in keys}


def kept_after(config: Config) -> dict[str, set[str]]:
    """For each step, the keys that later steps or pictures read. The others can be freed after the step."""
    pictures = config.sections.log.pictures
    needed = set(pictures.read) if pictures else set()
    kept: dict[str, set[str]] = {}
    for step in reversed(config.steps.values()):
        kept[step.name] = set() if step.section.streams else set(needed)
        if step.section.streams:
            continue
        needed |= {use.name for component, _ in readers_of(step) for use in component.reads}
    return kept


def _check_evaluation(config: Config, evaluation: EvaluationConfig, during: When, read: set[str]) -> Iterator[Fault]:
    """Faults of an evaluation. What its steps read is added to `read`."""
    sources = dict.fromkeys(replaced_by(config, evaluation), evaluation.section.data)
    flow = Flow.of_data(config, sources, during, partial(_not_evaluated, config, evaluation))
    steps = [config.steps[step] for step in evaluation.section.steps if step in config.steps]
    shared = [run for step in steps for run in components_of(step, training=False)]
    own = [(component, ALWAYS) for component in [*evaluation.injectors.values(), *evaluation.metrics.values()]]
    runs = [*shared, *own]
    for index, (component, when) in enumerate(runs):
        yield from flow.check_reads(component, component.inputs, when, runs[index + 1 :])
        yield from flow.check_writes(component, when)
    for component, _ in own:
        yield from _check_outputs(component)
        yield from _check_ungated(component)
    for name, section in evaluation.section.shown.items():
        yield from _check_shown(("evaluate", evaluation.name, name), config, section, flow)
    read |= flow.read if steps else set()


def _check_required(config: Config) -> Iterator[Fault]:
    """Faults of required keys that are never written: the step would be skipped silently at every iteration."""
    flows = _flows(config)
    for step in config.steps.values():
        known = flows[step.name]
        for index, key in enumerate(step.section.requires):
            if key not in known.writers and not known.may_have(key):
                place = config.tree.at(("steps", step.name, "requires", index)).place
                message = f"requires {key!r}, which no earlier component writes, so the step would never run"
                yield unwritten(place, f"steps.{step.name}.requires", message, key, known.writers, "")
        for component, when in components_of(step):
            list(known.check_writes(component, when))


def _check_ungated(component: Component) -> Iterator[Fault]:
    for gate in ("after", "before", "every", "only", "once"):
        if (node := component.node.get(gate)) is not None:
            message = "not allowed in an evaluation, which runs every component; remove it"
            yield Fault(node.start, f"{component.path}.{gate}", message)


def _check_outputs(component: Component) -> Iterator[Fault]:
    out = component.node.get("out") if component.kind == "injectors" else None
    if out is None or component.registered is None:
        return
    num_outputs = component.registered.signature.num_outputs
    named = len(out.value) if isinstance(out.value, list) else 1
    if num_outputs is not None and isinstance(out.value, list) and named != num_outputs:
        name = component.registered.name
        fix = "; write `_` for each value to discard" if named < num_outputs else ""
        message = f"names {counted(named, 'key')}, but {name} returns {counted(num_outputs, 'value')}{fix}"
        yield Fault(out.place, f"{component.path}.out", message)


def _check_shown(path: KeyPath, config: Config, section: ShownSection, flow: Flow) -> Iterator[Fault]:
    """Faults of the keys of a section that shows samples."""
    for at, key, place in shown_keys(config, path, section):
        flow.read.add(key)
        writers = flow.writers.get(key)
        if writers is None and not flow.may_have(key):
            message = f"shows {key!r}, which no component writes"
            yield unwritten(place, at, message, key, flow.writers, flow.elsewhere(key))
        elif writers and all((writer.when & flow.during).first() is None for writer in writers):
            hint = f"{writers[0].path} at {writers[0].place} writes it, but never runs"
            yield Fault(place, at, f"shows {key!r}, which is never written", hint)


def _undrawn(config: Config, pictures: PicturesSection, flow: Flow) -> Iterator[tuple[bool, Fault]]:
    """Images that are due when nothing writes their key, each with whether none of the key is ever drawn."""
    for at, key, place in shown_keys(config, PICTURES, pictures):
        writers = [writer for writer in flow.writers.get(key, ()) if (writer.when & flow.during).first() is not None]
        whens = {writer.path: writer.when for writer in writers}
        found = undrawn(whens, pictures.due, flow.during) if writers else None
        if found is not None:
            message = f"shows {key!r} after iteration {found.finished - 1}, in which nothing writes it"
            lines = [f"{w.path} at {w.place} writes it {w.when}, first in iteration {w.when.first()}" for w in writers]
            fix = [f"Fix: write {found.fix}."] if found.fix else []
            yield found.always, Fault(place, at, message, "\n".join([*lines, *fix]))


def _unread(config: Config, read: Collection[str]) -> Iterator[Fault]:
    if not any(step.optimizer for step in config.steps.values()):
        return  # A file that trains nothing: its results are there for `artschool apply`.
    for step in config.steps.values():
        for component in (*step.injectors.values(), *step.losses.values()):
            for use in component.writes:
                if use.name not in read:
                    fix = "remove `out`" if component.kind == "losses" else "write `_` to discard it"
                    yield Fault(
                        use.place, f"{component.path}.out", f"nothing reads {use.name!r}; {fix}", found=use.name
                    )


def _late_warmups(config: Config) -> Iterator[Fault]:
    for step in config.steps.values():
        for phase in step.schedule:
            start, warmup = getattr(phase.entry, "from_", 0), getattr(phase.entry, "warmup", 0)
            if warmup and start < step.section.after:
                yield Fault(
                    phase.node.place,
                    phase.path,
                    f"warms up from iteration {start}, but the step starts at {step.section.after}",
                    f"Fix: write `from: {step.section.after}` to start the warmup with the step.",
                )
