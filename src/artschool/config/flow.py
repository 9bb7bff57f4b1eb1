"""The check of the key flow: each key is written exactly once per iteration, before it is read."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial

from artschool.config.data_keys import declared_keys, undeclared
from artschool.config.drawn import undrawn
from artschool.config.report_sections import PicturesSection, ShownSection
from artschool.config.shown import PICTURES, shown_keys
from artschool.config.source import KeyPath
from artschool.config.streams import TRAIN, fed, key_in, replaced_by, stream_of, streams
from artschool.config.structure import Component, Config, EvaluationConfig, StepConfig, Use
from artschool.config.value_gates import key_readers
from artschool.config.when import ALWAYS, When, first_uncovered
from artschool.errors import Fault, FaultKind, Place, nearest
from artschool.wording.counting import counted

ANY = ""
"""Stands for all streams where any key may exist."""
Run = tuple[Component, When]
"""A component, and the iterations at which it runs."""


@dataclass(frozen=True)
class Writer:
    """A component or data set that writes a key, with the iterations at which it does."""

    path: str
    place: Place
    when: When


@dataclass
class Flow:
    """The keys that exist at a point of a dataflow.

    Attributes:
        stream: The stream that a key belongs to by its name.
        open: The streams that may have keys which the file does not name: their data sets do not declare their keys.
        elsewhere: Why a key, which is unknown here, exists in another dataflow. Empty: it does not.
        during: The iterations of the run.
        writers: Everything that writes a key, by key.
        read: The keys that something reads.
        late: The paths of the injectors that run after the losses of their step.
    """

    stream: Callable[[str], str]
    open: set[str]
    elsewhere: Callable[[str], str]
    during: When = ALWAYS
    writers: dict[str, list[Writer]] = field(default_factory=dict)
    read: set[str] = field(default_factory=set)
    late: set[str] = field(default_factory=set)

    @classmethod
    def of_data(
        cls,
        config: Config,
        sources: Mapping[str, str],
        during: When = ALWAYS,
        elsewhere: Callable[[str], str] = lambda key: "",
    ) -> Flow:
        """Start with the keys of streams: `keys:` in the file, or those that the signatures of data sets declare.

        Args:
            sources: For each stream, the name of the data set whose batches it gives.
        """
        flow = cls(lambda key: stream_of(key, config), set(), elsewhere, during)
        for stream, name in sources.items():
            component = config.data.get(name)
            declared = declared_keys(component)
            if component is None or stream not in config.data:
                flow.open.add(ANY)  # The unknown name is reported already.
            elif declared is None:
                flow.open.add(stream)
            for key in declared or ():
                place = component.node.place if component else Place("")
                flow.writers[key_in(stream, key)] = [Writer(f"data.{name}", place, ALWAYS)]
        return flow

    def may_have(self, key: str) -> bool:
        """Whether a data set may yield a key that the file does not name."""
        return ANY in self.open or self.stream(key) in self.open

    def check_reads(
        self, component: Component, uses: Sequence[Use], when: When, later: Sequence[Run], given: Collection[str] = ()
    ) -> Iterator[Fault]:
        """Faults of keys that one component reads, given the keys written so far.

        Args:
            uses: The keys.
            when: The iterations at which the component runs.
            later: The components that run after it.
            given: Keys that the step requires, so that the component never runs without them.
        """
        for use in uses:
            self.read.add(use.name)
            writers = self.writers.get(use.name)
            path = f"{component.path}.{use.parameter}"
            if writers is None:
                writer = _first_writer(use.name, later)
                if writer is not None or not self.may_have(use.name):
                    yield self._never_written(use, path, writer)
                continue
            iteration = first_uncovered(when & self.during, [writer.when for writer in writers])
            if iteration is not None and use.name not in given:
                message = f"reads {use.name!r} at iteration {iteration}, when no earlier component writes it"
                hint = "\n".join(f"{w.path} at {w.place} writes it {w.when}" for w in writers)
                yield _unwritten(use.place, path, message, use.name, self.writers, hint)

    def check_writes(self, component: Component, when: When) -> Iterator[Fault]:
        """Faults of the keys that one component writes. The keys exist from here on."""
        if component.kind == "injectors" and component.entry is None and not component.writes:
            self.open.add(ANY)  # Its faulty `out` is reported already; readers of the key are not to blame.
        for use in component.writes:
            for writer in self.writers.get(use.name, []):
                clash = (writer.when & when & self.during).first()
                if clash is not None:
                    at = f", and both run at iteration {clash}" if {writer.when, when} != {ALWAYS} else ""
                    yield Fault(
                        use.place,
                        f"{component.path}.out",
                        f"writes {use.name!r}, already written by {writer.path}; rename one of them",
                        f"{writer.path} is at {writer.place}{at}",
                        kind=FaultKind.REWRITTEN_KEY,
                        found=use.name,
                    )
                    break
            self.writers.setdefault(use.name, []).append(Writer(component.path, use.place, when))

    def _never_written(self, use: Use, path: str, writer: Writer | None) -> Fault:
        message = f"reads {use.name!r}, which no earlier component writes"
        if writer is not None:
            fix = "Fix: move that component up."
            if writer.path in self.late:
                fix = "That injector reads the value of a loss, so it runs after the losses."
            hint = f"{use.name!r} is written later, at {writer.place} by {writer.path}. {fix}"
            return _unwritten(use.place, path, message, use.name, self.writers, hint)
        lines = [self.elsewhere(use.name) or _known_keys(self.writers, use.name)]
        close = [key for key in self.writers if nearest(use.name, [key])]
        lines += [f"{key!r} is written at {w.place} by {w.path}" for key in close for w in self.writers[key][:1]]
        return _unwritten(use.place, path, message, use.name, self.writers, "\n".join(lines))


def _unwritten(place: Place, path: str, message: str, key: str, written: Iterable[str], hint: str) -> Fault:
    return Fault.unknown_name(place, path, message, key, written, hint=hint, kind=FaultKind.UNWRITTEN_KEY)


def _known_keys(written: Iterable[str], key: str) -> str:
    return f"Available keys: {', '.join(sorted(written)) or 'none'}. {nearest(key, written)}".strip()


def check_flow(config: Config) -> tuple[list[Fault], list[Fault]]:
    """Check all steps and evaluations.

    Returns:
        Faults and warnings.
    """
    faults: list[Fault] = []
    last = config.sections.train.iterations
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
    warnings += _unread(config, read)
    warnings += _late_warmups(config)
    return faults, warnings


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
    """Why an evaluation lacks a key of a stream."""
    stream = stream_of(key, config)
    if stream == TRAIN:
        return ""
    data = evaluation.section.data
    return (
        f"The steps of an evaluation read data.{data} in place of `train`, and of the one stream in their own `data`.\n"
        f"Fix: evaluate other steps, or compute what you need in `evaluate.{evaluation.name}.injectors`."
    )


def components_of(step: StepConfig, *, training: bool = True) -> Iterator[Run]:
    """The injectors and losses of a step in the order they run, each with the iterations at which it runs."""
    for component in step.parts_when(training=training):
        yield component, step.section.when & component.when


def readers_of(step: StepConfig) -> Iterator[Run]:
    """The injectors and losses of a step that trains, and its gate by a key."""
    yield from components_of(step)
    yield from ((reader, step.section.when) for reader in key_readers(step))


def never_runs(component: Component, when: When, during: When) -> Fault:
    """The warning about a component that is active at no iteration of the run."""
    return Fault(component.node.start, component.path, f"never runs: {when.missed(during)}")


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
                hint = _known_keys(known.writers, key)
                yield _unwritten(place, f"steps.{step.name}.requires", message, key, known.writers, hint)
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
            hint = flow.elsewhere(key) or _known_keys(flow.writers, key)
            yield _unwritten(place, at, message, key, flow.writers, hint)
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


def _first_writer(key: str, runs: Iterable[Run]) -> Writer | None:
    for component, when in runs:
        for use in component.writes:
            if use.name == key:
                return Writer(component.path, use.place, when)
    return None


def _unread(config: Config, read: Collection[str]) -> Iterator[Fault]:
    if not any(step.optimizer for step in config.steps.values()):
        return  # A file that trains nothing: its results are there for `artschool apply`.
    for step in config.steps.values():
        for component in (*step.injectors.values(), *step.losses.values()):
            for use in component.writes:
                if use.name not in read:
                    fix = "remove `out`" if component.kind == "losses" else "write `_` to discard it"
                    yield Fault(use.place, f"{component.path}.out", f"nothing reads {use.name!r}; {fix}")


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
