"""The keys that exist at a point of a dataflow, and the faults of what is read and written there."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from artschool.config.data_keys import declared_keys
from artschool.config.step_parts import Run
from artschool.config.streams import key_in, stream_of
from artschool.config.structure import Component, Config, Use
from artschool.config.when import ALWAYS, When, first_uncovered
from artschool.faults import Fault, FaultKind, Place
from artschool.wording.names import closest_name, nearest

ANY = ""
"""Stands for all streams where any key may exist."""


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
                # The same for all keys of these writers.
                cause = f"at iteration {iteration}, {', '.join(f'{w.path} {w.when}' for w in writers)} writes nothing"
                yield replace(unwritten(use.place, path, message, use.name, self.writers, hint), cause=cause)

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
        elsewhere = self.elsewhere(use.name)
        if writer is not None and not elsewhere:
            fix = "Fix: move that component up."
            if writer.path in self.late:
                fix = "That injector reads the value of a loss, so it runs after the losses."
            hint = f"{use.name!r} is written later, at {writer.place} by {writer.path}. {fix}"
            return unwritten(use.place, path, message, use.name, self.writers, hint)
        fault = unwritten(use.place, path, message, use.name, self.writers, elsewhere)
        close = [key for key in self.writers if nearest(use.name, [key])]
        lines = [f"{key!r} is written at {w.place} by {w.path}" for key in close for w in self.writers[key][:1]]
        return replace(fault, hint="\n".join([fault.hint, *lines]))


def unwritten(place: Place, path: str, message: str, key: str, written: Iterable[str], reason: str) -> Fault:
    """The fault of a key that is read, and that nothing before writes.

    Every reader of the key has this fault. The readers share a cause, and are reported once, if the reason is the same.

    Args:
        written: The keys that exist.
        reason: Why nothing writes the key; "": the hint lists the keys that exist, and the closest one.
    """
    known, suggestion = tuple(sorted(written)), closest_name(key, written)
    hint = reason or f"Available keys: {', '.join(known) or 'none'}. {nearest(key, known)}".strip()
    cause = f"{key!r} is not written: {reason or suggestion}" if reason or suggestion else cause_of_unknown(key)
    return Fault(place, path, message, hint, cause, FaultKind.UNWRITTEN_KEY, key, (), known, suggestion)


def cause_of_unknown(key: str) -> str:
    """The cause of the faults of a key that nothing writes, for no known reason, and that resembles no other one."""
    return f"{key!r} is unknown"


def _first_writer(key: str, runs: Iterable[Run]) -> Writer | None:
    for component, when in runs:
        for use in component.writes:
            if use.name == key:
                return Writer(component.path, use.place, when)
    return None
