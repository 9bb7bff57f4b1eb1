"""The dataflow of a file as plain data: lanes of calls, keys between them, networks beside them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from artschool.config.flow import declared_keys
from artschool.config.structure import Component, Config, EvaluationConfig, StepConfig
from artschool.config.when import ALWAYS
from artschool.config.write import dump
from artschool.errors import Place
from artschool.registry.entries import InjectorEntry, LossEntry

KINDS = {"injectors": "injector", "losses": "loss", "metrics": "metric", "datasets": "data"}


@dataclass
class GraphCall:
    """A box: a data set, an injector, a loss or a metric.

    Attributes:
        id: Unique in the drawing.
        notes: What gates it, and the weight of a loss.
        inputs: The parameter and the key of each value it reads.
        outputs: The keys it writes.
        networks: The networks that it calls.
        column: How many calls its values come through at most.
        source: Its entry in the file.
    """

    id: str
    lane: int
    kind: str
    name: str
    type: str
    place: Place
    notes: list[str] = field(default_factory=list)
    inputs: list[tuple[str, str]] = field(default_factory=list)
    outputs: list[str] = field(default_factory=list)
    networks: list[str] = field(default_factory=list)
    column: int = 0
    source: str = ""


@dataclass(frozen=True)
class Edge:
    """A key on its way from the call that writes it to one that reads it, by their ids."""

    key: str
    writer: str
    reader: str


@dataclass(frozen=True)
class Lane:
    """The data, a step or an evaluation, with what is to be said of it in a line."""

    title: str
    detail: str
    trains: tuple[str, ...] = ()


@dataclass(frozen=True)
class Network:
    """A network: `fate` says who trains it."""

    name: str
    type: str
    fate: str
    trained: bool
    place: Place


@dataclass
class Dataflow:
    """All of it.

    Attributes:
        shapes: What is known of keys, by lane and key: `(16, 3, 64, 64) float32`.
    """

    name: str
    lanes: list[Lane]
    calls: list[GraphCall]
    flows: list[Edge]
    networks: list[Network]
    shapes: Mapping[tuple[int, str], str]

    def hue(self, key: str) -> int:
        """The colour of a key as an angle; those that are written one after the other are far apart."""
        keys = list(dict.fromkeys(output for call in self.calls for output in call.outputs))
        return round(keys.index(key) * 137.5 + 210) % 360 if key in keys else 210

    def shape(self, call: GraphCall, key: str) -> str:
        """What is known of a key that a call writes."""
        return self.shapes.get((call.lane, key), "")


def dataflow(
    config: Config, shapes: Mapping[str, str] | None = None, evaluated: Mapping[str, Mapping[str, str]] | None = None
) -> Dataflow:
    """The dataflow of a checked file.

    Args:
        shapes: What is known of the keys of training.
        evaluated: The same of each evaluation.
    """
    builder = _Builder(config)
    known = {(lane, key): kind for lane in range(builder.num_training) for key, kind in (shapes or {}).items()}
    for offset, name in enumerate(config.evaluations):
        lane = builder.num_training + offset
        known |= {(lane, key): kind for key, kind in (evaluated or {}).get(name, {}).items()}
    networks = list(_networks(config))
    return Dataflow(config.sections.name, builder.lanes, builder.calls, builder.flows, networks, known)


class _Builder:
    """Walks through a file in the order in which it runs."""

    def __init__(self, config: Config) -> None:
        self.lanes = [Lane("data", "what a batch holds")]
        self.calls: list[GraphCall] = []
        self.flows: list[Edge] = []
        self._writers: dict[str, list[GraphCall]] = {}
        train = config.data["train"]
        parts = [part for step in config.steps.values() for part in _parts(step)]
        self._data(train, 0, (use.name for part in parts for use in part.reads))
        for step in config.steps.values():
            self._step(step)
        self.num_training = len(self.lanes)
        for evaluation in config.evaluations.values():
            self._evaluation(config, evaluation)

    def _step(self, step: StepConfig) -> None:
        when = step.section.trains_when
        detail = f"trains {', '.join(step.section.trained)}" + (f", {when}" if when != ALWAYS else "")
        self.lanes.append(Lane(f"step {step.name}", detail, tuple(step.section.trained)))
        for part in _parts(step):
            self._call(part, len(self.lanes) - 1)

    def _evaluation(self, config: Config, evaluation: EvaluationConfig) -> None:
        section = evaluation.section
        every = f"every {section.every} iterations" if section.every else "at the end"
        self.lanes.append(Lane(f"evaluate {evaluation.name}", f"{every}, on {section.data}"))
        lane, parts = len(self.lanes) - 1, [*evaluation.injectors.values(), *evaluation.metrics.values()]
        steps = [config.steps[name] for name in section.steps]
        shared = [part for step in steps for part in _parts(step) if getattr(part.entry, "only", None) != "training"]
        self._writers = {}
        self._data(config.data[section.data], lane, (use.name for part in (*shared, *parts) for use in part.reads))
        for part in (*shared, *parts):
            self._call(part, lane, config.averages_in(evaluation))

    def _data(self, component: Component, lane: int, read: Iterable[str]) -> None:
        keys = declared_keys(component)
        call = _box(component, lane, 0)
        call.outputs = list(dict.fromkeys(read if keys is None else keys))
        self._add(call)

    def _call(self, component: Component, lane: int, stand_ins: Mapping[str, str] = MappingProxyType({})) -> None:
        call = _box(component, lane, len(self.calls))
        call.inputs = [(use.parameter, use.name) for use in component.reads]
        call.outputs = list(dict.fromkeys(use.name for use in component.writes))
        call.networks = list(dict.fromkeys(stand_ins.get(use.name, use.name) for use in component.networks))
        for key in dict.fromkeys(key for _, key in call.inputs):
            for writer in self._writers.get(key, ()):
                self.flows.append(Edge(key, writer.id, call.id))
                call.column = max(call.column, writer.column + 1)
        call.column = max(call.column, 1)
        self._add(call)

    def _add(self, call: GraphCall) -> None:
        self.calls.append(call)
        for key in call.outputs:
            self._writers.setdefault(key, []).append(call)


def _parts(step: StepConfig) -> Iterator[Component]:
    yield from step.injectors.values()
    yield from step.losses.values()


def _box(component: Component, lane: int, number: int) -> GraphCall:
    kind = KINDS[component.kind]
    name = component.path.rpartition(".")[2]
    type_name = component.registered.name if component.registered else "?"
    entry, notes = component.entry, []
    if isinstance(entry, LossEntry):
        notes.append(f"weight {entry.weight:g}")
    if component.when != ALWAYS:
        notes.append(str(component.when))
    if isinstance(entry, InjectorEntry):
        notes += [f"only in {entry.only}"] if entry.only else []
        notes += [text for text, given in (("once a batch", entry.once), ("no gradient", entry.no_grad)) if given]
    if getattr(entry, "option_grad", True) is False:
        notes.append("no gradient")
    source = dump({name: component.node.masked()})
    return GraphCall(f"{lane}-{number}", lane, kind, name, type_name, component.node.place, notes, source=source)


def _networks(config: Config) -> Iterator[Network]:
    for name, component in config.networks.items():
        trainers = [step.name for step in config.steps.values() if name in step.section.trained]
        type_name = component.registered.name if component.registered else "?"
        fate = f"trained by {', '.join(trainers)}" if trainers else "frozen"
        yield Network(name, type_name, fate, bool(trainers), component.node.place)
    for name, decay in (config.sections.ema.decays if config.sections.ema else {}).items():
        place = config.networks[name].node.place
        yield Network(f"{name}.ema", "average", f"of {name}, decay {decay:g}", False, place)
