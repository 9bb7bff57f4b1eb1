"""The rule about values whose range is not the one that their reader expects."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from torch import nn

from artschool.config.ranges import KeyRanges, after_training_steps, dataflows, misfits, of_networks
from artschool.config.structure import Config
from artschool.faults import Fault
from artschool.lint.rule import rules_of
from artschool.lint.subject import Subject
from artschool.registry.ranges import OUT, Range, Ranges, differ, shown

LAST: dict[type[nn.Module], Range] = {nn.Tanh: (-1.0, 1.0), nn.Sigmoid: (0.0, 1.0), nn.Softmax: (0.0, 1.0)}
"""The range of the output of a network, by its last submodule."""


def wrong_range(subject: Subject) -> Iterator[Fault]:
    """A value has another range than its reader expects, or than the value that it is compared with.

    Metrics of images clamp to their range, feature networks are trained on one, and pictures are drawn as black below
    it. Data sets, networks and injectors declare the range of what they write, as far as it is known; a network that
    ends in a tanh or sigmoid has its range. Write the range in the options of the reader, or convert the values.
    """
    networks = networks_of(subject.config, subject.networks)
    for component, known in dataflows(subject.config, networks):
        yield from misfits(component, known, differ)
    yield from _pictures(subject, after_training_steps(subject.config, networks))


def _pictures(subject: Subject, known: KeyRanges) -> Iterator[Fault]:
    section = subject.config.sections.log.pictures
    for index, key in enumerate(section.keys if section is not None else ()):
        assert section is not None
        given, drawn = known.ranges.get(key), section.range_of(key)
        if given is not None and not isinstance(drawn, str) and differ(given, drawn):
            place = subject.config.tree.at(("log", "pictures", "keys", index)).place
            message = f"{key!r} has values in {shown(given)}, but black and white are {shown(drawn)}"
            yield Fault(place, "log.pictures.keys", message, f"Fix: write `range: [{given[0]:g}, {given[1]:g}]`.")


def networks_of(config: Config, modules: Mapping[str, nn.Module] | None) -> dict[str, Ranges]:
    """What the networks of a file declare. The last submodule of a built network shows the range of its output."""
    found = of_networks(config)
    for name, known in found.items():
        last = _range_of_last(modules.get(name) if modules is not None else None)
        if last is not None and OUT not in known:
            found[name] = {**known, OUT: last}
    return found


def _range_of_last(module: nn.Module | None) -> Range | None:
    while module is not None:
        if type(module) in LAST:
            return LAST[type(module)]
        parts = list(module.children())
        module = parts[-1] if parts else None
    return None


RULES = rules_of(wrong_range, sees_networks=True)
