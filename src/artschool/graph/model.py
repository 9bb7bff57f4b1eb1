"""The dataflow of a file as data: lanes of calls, edges between them, and the networks they call."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from artschool.config.data_keys import declared_keys
from artschool.config.network_options import adapters_of
from artschool.config.streams import fed, key_in, replaced_by, stream_of
from artschool.config.structure import Component, Config, EvaluationConfig, StepConfig
from artschool.config.value_gates import gates_of, rule_of_loss
from artschool.config.when import ALWAYS
from artschool.config.write import dump
from artschool.faults import Place
from artschool.registry.entries import InjectorEntry, LossEntry

KINDS = {"injectors": "injector", "losses": "loss", "metrics": "metric", "datasets": "data"}


@dataclass
class GraphCall:
    """A node of the dataflow: a data set, an injector, a loss or a metric.

    Attributes:
        id: Unique in the drawing.
        lane: Index of its lane.
        notes: Its gate, the weight of a loss, and other options that change how it runs.
        inputs: Parameter and key of each value that it reads.
        outputs: Keys that it writes.
        networks: Networks that it calls.
        column: Length of the longest path from the data to it.
        source: Its entry in the file, as YAML.
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
    """A key that passes from the call that writes it to one that reads it, by their ids."""

    key: str
    writer: str
    reader: str


@dataclass(frozen=True)
class Lane:
    """The training data, a step or an evaluation.

    Attributes:
        detail: A line that describes it.
        trains: Networks that a step trains.
    """

    title: str
    detail: str
    trains: tuple[str, ...] = ()


@dataclass(frozen=True)
class GraphNetwork:
    """A network or its moving average.

    Attributes:
        status: The steps that train it, `frozen`, or the decay of an average.
        is_average: Whether it is a moving average.
    """

    name: str
    type: str
    status: str
    trained: bool
    place: Place
    is_average: bool = False


@dataclass
class Dataflow:
    """The dataflow of a file.

    Attributes:
        shapes: Shape and type by lane and key, such as `(16, 3, 64, 64) float32`, where they are known.
    """

    name: str
    lanes: list[Lane]
    calls: list[GraphCall]
    edges: list[Edge]
    networks: list[GraphNetwork]
    shapes: Mapping[tuple[int, str], str]

    def hue(self, key: str) -> int:
        """The hue of a key in degrees. Keys that are written in succession have distant hues."""
        keys = list(dict.fromkeys(output for call in self.calls for output in call.outputs))
        return round(keys.index(key) * 137.5 + 210) % 360 if key in keys else 210

    def shape(self, call: GraphCall, key: str) -> str:
        """Shape and type of a key that a call writes, empty where they are unknown."""
        return self.shapes.get((call.lane, key), "")


def dataflow(
    config: Config,
    shapes: Mapping[str, str] | None = None,
    evaluated: Mapping[str, Mapping[str, str]] | None = None,
    own: Mapping[str, Mapping[str, str]] | None = None,
) -> Dataflow:
    """The dataflow of a checked file.

    Args:
        shapes: Shape and type of the keys of training, by key.
        evaluated: The same for each evaluation, by its name.
        own: The same for each step that runs on batches of its own.
    """
    builder = _Builder(config)
    known = {(lane, key): kind for lane in range(builder.num_training) for key, kind in (shapes or {}).items()}
    for lane, name in enumerate(config.steps, 1):
        known |= {(lane, key): kind for key, kind in (own or {}).get(name, {}).items()}
    for offset, name in enumerate(config.evaluations):
        lane = builder.num_training + offset
        known |= {(lane, key): kind for key, kind in (evaluated or {}).get(name, {}).items()}
    networks = list(_networks(config))
    return Dataflow(config.sections.name, builder.lanes, builder.calls, builder.edges, networks, known)


class _Builder:
    """Collects lanes, calls and edges in the order in which a file runs."""

    def __init__(self, config: Config) -> None:
        self.lanes = [Lane("data", "keys of a batch")]
        self.calls: list[GraphCall] = []
        self.edges: list[Edge] = []
        self._writers: dict[str, list[GraphCall]] = {}
        shared = [step for step in config.steps.values() if not step.section.streams]
        readers = [part for step in shared for part in step.parts_when(training=True)]
        self._data(config, {name: name for name in fed(config)}, 0, readers)
        for step in config.steps.values():
            self._step(config, step)
        self.num_training = len(self.lanes)
        for evaluation in config.evaluations.values():
            self._evaluation(config, evaluation)

    def _step(self, config: Config, step: StepConfig) -> None:
        section, gates = step.section, gates_of(step)
        own, times = section.streams, section.repeat
        detail = f"trains {', '.join(section.trained)}"
        detail += f" with the optimizer of {step.shares.name}" if step.shares is not None else ""
        detail += f", {gates}" if gates else ""
        detail += f", on fresh batches of {', '.join(own)}" if own else ""
        detail += f", {times} times in an iteration" if times > 1 else ""
        self.lanes.append(Lane(f"step {step.name}", detail, tuple(section.trained)))
        shared, lane = self._writers, len(self.lanes) - 1
        if own:
            self._writers = {}
            self._data(config, {name: name for name in own}, lane, step.parts_when(training=True))
        for part in step.parts_when(training=True):
            self._call(part, lane)
        self._weights(step)
        self._writers = shared

    def _weights(self, step: StepConfig) -> None:
        """The edges to losses of the keys of their weights, which may be written after the losses have run."""
        losses = {call.name: call for call in self.calls if call.lane == len(self.lanes) - 1 and call.kind == "loss"}
        for name, loss in step.losses.items():
            for use in loss.weighed_by:
                losses[name].inputs.append((use.parameter, use.name))
                self.edges += [Edge(use.name, writer.id, losses[name].id) for writer in self._writers.get(use.name, ())]

    def _evaluation(self, config: Config, evaluation: EvaluationConfig) -> None:
        section = evaluation.section
        every = f"every {section.every} iterations" if section.every else "at the end"
        self.lanes.append(Lane(f"evaluate {evaluation.name}", f"{every}, on {section.data}"))
        lane, parts = len(self.lanes) - 1, [*evaluation.injectors.values(), *evaluation.metrics.values()]
        steps = [config.steps[name] for name in section.steps]
        shared = [part for step in steps for part in step.parts_when(training=False)]
        self._writers = {}
        self._data(config, dict.fromkeys(replaced_by(config, evaluation), section.data), lane, (*shared, *parts))
        for part in (*shared, *parts):
            self._call(part, lane, config.averages_in(evaluation))

    def _data(self, config: Config, sources: Mapping[str, str], lane: int, readers: Iterable[Component]) -> None:
        """Add the data set of each stream. One that does not declare its keys has those that are read."""
        read = [use.name for part in readers for use in part.reads]
        outputs: dict[str, list[str]] = {}
        for stream, name in sources.items():
            keys = declared_keys(config.data[name])
            own = [key for key in read if stream_of(key, config) == stream]
            outputs.setdefault(name, []).extend(own if keys is None else [key_in(stream, key) for key in keys])
        for number, (name, written) in enumerate(outputs.items()):
            call = _graph_call(config.data[name], lane, number)
            call.outputs = list(dict.fromkeys(written))
            self._add(call)

    def _call(self, component: Component, lane: int, substitutes: Mapping[str, str] = MappingProxyType({})) -> None:
        call = _graph_call(component, lane, len(self.calls))
        call.inputs = [(use.parameter, use.name) for use in component.inputs]
        call.outputs = list(dict.fromkeys(use.name for use in component.writes))
        call.networks = list(dict.fromkeys(substitutes.get(use.name, use.name) for use in component.networks))
        for key in dict.fromkeys(key for _, key in call.inputs):
            for writer in self._writers.get(key, ()):
                self.edges.append(Edge(key, writer.id, call.id))
                call.column = max(call.column, writer.column + 1)
        call.column = max(call.column, 1)
        self._add(call)

    def _add(self, call: GraphCall) -> None:
        self.calls.append(call)
        for key in call.outputs:
            self._writers.setdefault(key, []).append(call)


def _graph_call(component: Component, lane: int, number: int) -> GraphCall:
    kind = KINDS[component.kind]
    name = component.path.rpartition(".")[2]
    type_name = component.registered.name if component.registered else "?"
    entry, notes = component.entry, []
    if isinstance(entry, LossEntry):
        notes.append(f"weight {entry.weight_text}")
    if component.when != ALWAYS:
        notes.append(str(component.when))
    if (rule := rule_of_loss(component)) is not None:
        notes.append(str(rule))
    if isinstance(entry, InjectorEntry):
        notes += [f"only in {entry.only}"] if entry.only else []
        notes += [text for text, given in (("once a batch", entry.once), ("no gradient", entry.no_grad)) if given]
    if getattr(entry, "option_grad", True) is False:
        notes.append("no gradient")
    source = dump({name: component.node.masked()})
    return GraphCall(f"{lane}-{number}", lane, kind, name, type_name, component.node.place, notes, source=source)


def _networks(config: Config) -> Iterator[GraphNetwork]:
    for name, component in config.networks.items():
        trainers = [step.name for step in config.steps.values() if name in step.section.trained]
        type_name = component.registered.name if component.registered else "?"
        status = f"trained by {', '.join(trainers)}" if trainers else "frozen"
        status = ", ".join([*adapters_of(component), status])
        yield GraphNetwork(name, type_name, status, bool(trainers), component.node.place)
    for average in config.averages.values():
        status = f"of {average.of}, decay {average.decay:g}{average.interval}"
        place = config.networks[average.of].node.place
        yield GraphNetwork(average.name, "average", status, False, place, is_average=True)
