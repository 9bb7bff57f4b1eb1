"""The ranges of the values of keys along a dataflow, as far as components declare them."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from artschool.config.component import Component, Use, network_of
from artschool.config.step_parts import components_of
from artschool.config.streams import key_in, replaced_by, streams
from artschool.config.structure import Config, EvaluationConfig
from artschool.faults import Fault
from artschool.registry.ranges import OUT, Known, Range, Ranges, WholeNumbers, in_common, shown, usual

Measured = Mapping[str, Ranges]
SIDES = {"fake", "real"}
"""Parameters whose values are compared with each other, unless a component declares the range of one of them."""
NONE: Mapping[str, Ranges] = MappingProxyType({})


@dataclass
class KeyRanges:
    """What is known about the values of keys at a point of a dataflow.

    Attributes:
        networks: What each network declares, by name.
        ranges: The range of each key whose range is known.
        computed: The keys that a network has computed, directly or from its results. The others are data.
    """

    networks: Mapping[str, Ranges]
    ranges: dict[str, Range] = field(default_factory=dict)
    computed: set[str] = field(default_factory=set)

    def declared(self, component: Component) -> Ranges:
        """What a component declares about its parameters and its result, with its nested components."""
        found: dict[str, Range | None] = {}
        for part in (*component.inner, component):
            found |= declared(part, self.ranges, self.networks)
        return found

    def expected(self, component: Component) -> Iterator[tuple[Use, Range]]:
        """The keys that a component expects in a range. Of several keys of a parameter, it concerns the first."""
        uses = {use.parameter: use for use in reversed(component.reads)}
        for parameter, expected in self.declared(component).items():
            if expected is not None and parameter in uses:
                yield uses[parameter], expected

    def add(self, component: Component) -> None:
        """Take in what a component writes."""
        result = declared(component, self.ranges, self.networks).get(OUT)
        is_computed = bool(component.networks) or any(use.name in self.computed for use in component.reads)
        for use in component.writes:
            if result is not None:
                self.ranges[use.name] = result
            if is_computed:
                self.computed.add(use.name)


def declared(
    component: Component, keys: Mapping[str, Range] = MappingProxyType({}), networks: Mapping[str, Ranges] = NONE
) -> Ranges:
    """What a component declares by itself.

    Args:
        keys: The ranges of keys that are known.
        networks: What each network declares, by name.
    """
    if component.registered is None or component.entry is None:
        return {}
    values = component.registered.values
    if not callable(values):
        return values
    by_parameter: dict[str, list[Range | None]] = {}
    for use in component.reads:
        by_parameter.setdefault(use.parameter, []).append(keys.get(use.name))
    known = Known(
        component.options(),
        {parameter: in_common(ranges) for parameter, ranges in by_parameter.items()},
        {use.parameter: networks.get(network_of(use.name), {}) for use in reversed(component.networks)},
        [declared(part) for part in component.inner if part.kind == "datasets"],
    )
    return values(known)


def misfits(component: Component, known: KeyRanges, is_wrong: Callable[[Range, Range], bool]) -> Iterator[Fault]:
    """The keys of a component whose values have another range than it expects, or than those they are compared with.

    Args:
        is_wrong: Whether a range contradicts the one that is expected.
    """
    for use, expected in known.expected(component):
        given = known.ranges.get(use.name)
        if given is not None and is_wrong(given, expected):
            yield misfit(component, use, given, expected)
    uses = {use.parameter: use for use in reversed(component.reads)}
    if not uses.keys() >= SIDES or known.declared(component).keys() & SIDES:
        return
    fake, real = (known.ranges.get(uses[side].name) for side in ("fake", "real"))
    if fake is not None and real is not None and is_wrong(real, fake):
        use, other = uses["real"], uses["fake"]
        message = f"{use.name!r} {_values(real)}, but it is compared with {other.name!r}, in {shown(fake)}"
        hint = conversion(usual(real), fake) if _is_finite(real) else ""
        yield Fault(use.place, f"{component.path}.real", message, hint)


def check_whole_numbers(config: Config) -> Iterator[Fault]:
    """A fault for each key whose whole numbers may lie outside of those that its reader takes."""
    for component, known in dataflows(config, of_networks(config)):
        yield from misfits(component, known, _may_leave)


def _may_leave(given: Range, expected: Range) -> bool:
    return isinstance(expected, WholeNumbers) and isinstance(given, WholeNumbers) and given.high > expected.high


def misfit(component: Component, use: Use, given: Range, expected: Range) -> Fault:
    """The fault of a key whose values have another range than a component expects."""
    assert component.registered is not None
    path = f"{component.path}.{use.parameter}"
    message = f"{use.name!r} {_values(given)}, but {component.registered.name} expects {shown(expected)}"
    to_write = usual(given)
    if not _is_finite(given):
        hint = ""
    elif isinstance(expected, WholeNumbers):
        hint = "Fix: write the same number of codes in both."
    elif hasattr(component.entry, "option_data_range"):
        hint = f"Fix: write `data_range: [{to_write[0]:g}, {to_write[1]:g}]`."
    else:
        hint = conversion(to_write, expected)
    return Fault(use.place, path, message, hint)


def _values(given: Range) -> str:
    return f"has values in {shown(given)}" if _is_finite(given) else "contains NaN or infinity"


def _is_finite(given: Range) -> bool:
    return all(map(math.isfinite, given))


def conversion(given: Range, expected: Range) -> str:
    """The injector that maps a range to another one, as a fix; "" if the range is a single value."""
    if given[0] == given[1]:
        return ""
    scale = (expected[1] - expected[0]) / (given[1] - given[0])
    shift = expected[0] - given[0] * scale
    return f"Fix: convert it with {{type: denormalize, shift: {shift:g}, scale: {scale:g}}}."


def of_networks(config: Config) -> dict[str, Ranges]:
    """What the networks of a file declare."""
    return {name: declared(network) for name, network in config.networks.items()}


def dataflows(
    config: Config, networks: Mapping[str, Ranges], found: Measured = NONE
) -> Iterator[tuple[Component, KeyRanges]]:
    """Every component of steps and evaluations in file order, with what is known before it runs.

    Args:
        networks: What each network declares, by name.
        found: Measured ranges of keys that a data set does not declare, by data set and key.
    """
    yield from _along(_training(config), _of_data(config, {name: name for name in streams(config)}, networks, found))
    for evaluation in config.evaluations.values():
        yield from _of_evaluation(config, evaluation, networks, found)


def after_training_steps(config: Config, networks: Mapping[str, Ranges], found: Measured = NONE) -> KeyRanges:
    """What is known about the keys after all steps, where images are drawn."""
    known = _of_data(config, {name: name for name in streams(config)}, networks, found)
    for component in _training(config):
        known.add(component)
    return known


@dataclass(frozen=True)
class Reading:
    """A key that a component expects in a range."""

    component: Component
    use: Use
    expected: Range


def undeclared_readings(config: Config, evaluation: EvaluationConfig) -> list[Reading]:
    """The data that metrics of an evaluation expect in a range, and whose range nothing declares."""
    return [
        Reading(component, use, expected)
        for component, known in _of_evaluation(config, evaluation, of_networks(config))
        for use, expected in known.expected(component)
        if component.kind == "metrics" and use.name not in known.ranges and use.name not in known.computed
    ]


def _training(config: Config) -> list[Component]:
    return [component for step in config.steps.values() for component, _ in components_of(step)]


def _of_evaluation(
    config: Config, evaluation: EvaluationConfig, networks: Mapping[str, Ranges], found: Measured = NONE
) -> Iterator[tuple[Component, KeyRanges]]:
    steps = [config.steps[name] for name in evaluation.section.steps if name in config.steps]
    run = [component for step in steps for component, _ in components_of(step, training=False)]
    run += [*evaluation.injectors.values(), *evaluation.metrics.values()]
    sources = dict.fromkeys(replaced_by(config, evaluation), evaluation.section.data)
    yield from _along(run, _of_data(config, sources, networks, found))


def _of_data(config: Config, sources: Mapping[str, str], networks: Mapping[str, Ranges], found: Measured) -> KeyRanges:
    """What is known at the start of a dataflow: the ranges of the keys of the data set that each stream reads."""
    known: dict[str, Range | None] = {}
    for stream, name in sources.items():
        data = config.data.get(name)
        ranges = {**found.get(name, {}), **(declared(data) if data is not None else {})}
        known |= {key_in(stream, key): values for key, values in ranges.items()}
    return KeyRanges(networks, {key: values for key, values in known.items() if values is not None})


def _along(components: list[Component], known: KeyRanges) -> Iterator[tuple[Component, KeyRanges]]:
    for component in components:
        yield component, known
        known.add(component)
