"""The check of the key flow: each key is written exactly once per iteration, before it is read."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from artschool.config.structure import Component, Config, EvaluationConfig, StepConfig, Use
from artschool.config.when import ALWAYS, When, first_uncovered
from artschool.errors import Fault, FaultKind, Place, nearest
from artschool.wording.counting import counted

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
        data: Path of the data set.
        open: Whether there may be keys that the file does not name: the data set does not declare its keys.
        during: The iterations of the run.
        writers: Everything that writes a key, by key.
        read: The keys that something reads.
        late: The paths of the injectors that run after the losses of their step.
    """

    data: str
    open: bool
    during: When = ALWAYS
    writers: dict[str, list[Writer]] = field(default_factory=dict)
    read: set[str] = field(default_factory=set)
    late: set[str] = field(default_factory=set)

    @classmethod
    def of_data(cls, component: Component | None, name: str, during: When = ALWAYS) -> Flow:
        """Start with the keys that a data set yields: `keys:` in the file, or those that its signature declares."""
        declared = declared_keys(component)
        flow = cls(f"data.{name}", open=declared is None, during=during)
        for key in declared or ():
            place = component.node.place if component else Place("")
            flow.writers[key] = [Writer(flow.data, place, ALWAYS)]
        return flow

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
                if writer is not None or not self.open:
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
            self.open = True  # Its faulty `out` is reported already; readers of the key are not to blame.
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
        lines = [_known_keys(self.writers, use.name)]
        close = [key for key in self.writers if nearest(use.name, [key])]
        lines += [f"{key!r} is written at {w.place} by {w.path}" for key in close for w in self.writers[key][:1]]
        return _unwritten(use.place, path, message, use.name, self.writers, "\n".join(lines))


def _unwritten(place: Place, path: str, message: str, key: str, written: Iterable[str], hint: str) -> Fault:
    return Fault.unknown_name(place, path, message, key, written, hint=hint, kind=FaultKind.UNWRITTEN_KEY)


def _known_keys(written: Iterable[str], key: str) -> str:
    return f"Available keys: {', '.join(sorted(written)) or 'none'}. {nearest(key, written)}".strip()


def declared_keys(data: Component | None) -> tuple[str, ...] | None:
    """The keys of a batch of a data set, None when only the running data set knows them."""
    keys = yielded_keys(data)
    padded: list[str] = getattr(data.entry, "pad", None) or [] if data is not None else []
    return None if keys is None else tuple(dict.fromkeys((*keys, *(f"{key}_lengths" for key in padded))))


def yielded_keys(data: Component | None) -> tuple[str, ...] | None:
    """The keys of a sample: `keys:` in the file, or those that the signature declares.

    A data set with nested ones yields the keys that all of them yield, and its own. A data set whose keys depend on
    its options lists them in its option `columns`, a mapping from key to source.
    """
    if data is None or data.registered is None:
        return None
    listed: list[str] | None = getattr(data.entry, "keys", None)
    own = tuple(listed) if listed is not None else data.registered.signature.yields
    if own is None and (example := getattr(data.entry, "example", None)) is not None:
        own = tuple(example)
    if (
        own is None
        and data.entry is not None
        and isinstance(columns := getattr(data.entry, "option_columns", None), dict)
    ):
        own = tuple(columns)
    inner = [yielded_keys(component) for component in data.inner]
    if own is None or listed is not None or not inner:
        return own
    if None in inner:
        return None
    passed = [keys for keys in inner if keys is not None]
    common = (key for key in passed[0] if all(key in keys for keys in passed))
    return tuple(dict.fromkeys((*common, *own)))


def check_flow(config: Config) -> tuple[list[Fault], list[Fault]]:
    """Check all steps and evaluations.

    Returns:
        Faults and warnings.
    """
    faults: list[Fault] = []
    warnings: list[Fault] = []
    last = config.sections.train.iterations
    flow = Flow.of_data(config.data.get("train"), "train", When(before=last - 1 if last else None))
    if flow.open and "train" in config.data:
        warnings.append(_undeclared(config.data["train"]))
    rest = [run for step in config.steps.values() for run in components_of(step)]
    for step in config.steps.values():
        flow.late |= {injector.path for injector in step.late_injectors_when(training=True)}
        runs = list(components_of(step))
        rest = rest[len(runs) :]
        for index, (component, when) in enumerate(runs):
            if (when & flow.during).first() is None:
                warnings.append(never_runs(component, when, flow.during))
            else:
                later = [*runs[index + 1 :], *rest]
                faults += flow.check_reads(component, component.inputs, when, later, step.section.requires)
                faults += _check_outputs(component)
            faults += flow.check_writes(component, when)
        for component, when in runs:
            faults += flow.check_reads(component, component.weighed_by, when, rest, step.section.requires)
    faults += _check_required(config)
    faults += _check_pictures(config, flow)
    for evaluation in config.evaluations.values():
        faults += _check_evaluation(config, evaluation, flow)
    warnings += _unread(config, flow)
    warnings += _late_warmups(config)
    return faults, warnings


def components_of(step: StepConfig, *, training: bool = True) -> Iterator[Run]:
    """The injectors and losses of a step in the order they run, each with the iterations at which it runs."""
    for component in step.parts_when(training=training):
        yield component, step.section.when & component.when


def never_runs(component: Component, when: When, during: When) -> Fault:
    """The warning about a component that is active at no iteration of the run."""
    return Fault(component.node.start, component.path, f"never runs: {when.missed(during)}")


def kept_after(config: Config) -> dict[str, set[str]]:
    """For each step, the keys that later steps or pictures read. The others can be freed after the step."""
    pictures = config.sections.log.pictures
    needed = set(pictures.keys) if pictures else set()
    kept: dict[str, set[str]] = {}
    for step in reversed(config.steps.values()):
        kept[step.name] = set(needed)
        needed |= {use.name for component, _ in components_of(step) for use in component.reads}
    return kept


def _check_evaluation(config: Config, evaluation: EvaluationConfig, training: Flow) -> Iterator[Fault]:
    name = evaluation.section.data
    flow = Flow.of_data(config.data.get(name), name, training.during)
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
    training.read |= flow.read if steps else set()


def _check_required(config: Config) -> Iterator[Fault]:
    """Faults of required keys that are never written: the step would be skipped silently at every iteration."""
    known = Flow.of_data(config.data.get("train"), "train")
    for step in config.steps.values():
        for index, key in enumerate(step.section.requires):
            known.read.add(key)
            if key not in known.writers and not known.open:
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


def _check_pictures(config: Config, flow: Flow) -> Iterator[Fault]:
    pictures = config.sections.log.pictures
    if pictures is None:
        return
    section = config.tree.at(("log", "pictures", "keys"))
    for index, key in enumerate(pictures.keys):
        flow.read.add(key)
        place, writers = section.at((index,)).place, flow.writers.get(key)
        if writers is None and not flow.open:
            message, hint = f"draws {key!r}, which no component writes", _known_keys(flow.writers, key)
            yield _unwritten(place, "log.pictures.keys", message, key, flow.writers, hint)
        elif writers and all((writer.when & flow.during).first() is None for writer in writers):
            hint = f"{writers[0].path} at {writers[0].place} writes it, but never runs"
            yield Fault(place, "log.pictures.keys", f"draws {key!r}, which is never written", hint)


def _first_writer(key: str, runs: Iterable[Run]) -> Writer | None:
    for component, when in runs:
        for use in component.writes:
            if use.name == key:
                return Writer(component.path, use.place, when)
    return None


def _unread(config: Config, flow: Flow) -> Iterator[Fault]:
    for step in config.steps.values():
        for component in (*step.injectors.values(), *step.losses.values()):
            for use in component.writes:
                if use.name not in flow.read:
                    fix = "remove `out`" if component.kind == "losses" else "write `_` to discard it"
                    yield Fault(use.place, f"{component.path}.out", f"nothing reads {use.name!r}; {fix}")


def _undeclared(data: Component) -> Fault:
    return Fault(
        data.node.place,
        data.path,
        "does not declare its keys, so a misspelt key is found only at the first batch",
        "Fix: write `keys: [...]` here, or annotate `__getitem__` of the data set with a TypedDict.",
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
