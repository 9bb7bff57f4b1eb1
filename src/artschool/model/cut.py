"""The part of a dataflow that computes some keys."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass

from artschool.config.component import Component, Use
from artschool.model.flows import Flow


@dataclass(frozen=True)
class Cut:
    """The injectors that compute some keys, and what they need.

    Attributes:
        keys: The keys that are wanted.
        injectors: The injectors in the order in which they run.
        needs: The keys that come from data, in the order in which they are read.
        of_shape: Those of them of which only the shape is read.
    """

    flow: Flow
    keys: Sequence[str]
    injectors: Sequence[Component]
    needs: Sequence[str]
    of_shape: frozenset[str]

    @property
    def networks(self) -> list[str]:
        """The networks that are called. `gen (average)`: the moving average is called in place of the network."""
        names = dict.fromkeys(use.name for injector in self.injectors for use in injector.networks)
        return [f"{name} (average)" if name in self.flow.averages else name for name in names]

    @property
    def summary(self) -> str:
        """What is computed, and by which networks."""
        return f"{', '.join(self.keys)} of {self.flow.path}, by {', '.join(self.networks) or 'no network'}"


def cut(flow: Flow, keys: Sequence[str], given: Collection[str] = ()) -> Cut:
    """Cut out of a dataflow what computes some keys, from the keys backwards.

    Args:
        given: Keys whose values are given, so that nothing has to compute them.
    """
    needed, valued = set(keys) - set(given), set(keys)
    chosen: list[Component] = []
    for injector in reversed(flow.injectors):
        written = {use.name for use in injector.writes if flow.writers.get(use.name) is injector}
        if not written & needed:
            continue
        chosen.insert(0, injector)
        needed = (needed - written) | ({use.name for use in injector.reads} - set(given))
        if written & valued:
            valued |= {use.name for use in _read_values(injector)}
    read = dict.fromkeys(use.name for injector in chosen for use in injector.reads)
    written = {use.name for injector in chosen for use in injector.writes} - set(given)
    needs = [key for key in [*keys, *read] if key in given or key in needed]
    needs = list(dict.fromkeys([*needs, *(key for key in read if key not in written)]))
    return Cut(flow, list(keys), chosen, needs, frozenset(key for key in needs if key not in valued))


def _read_values(injector: Component) -> Iterator[Use]:
    """The keys of which an injector reads more than the shape."""
    assert injector.registered is not None
    of_shape = {parameter.name for parameter in injector.registered.signature.parameters if parameter.of_shape}
    return (use for use in injector.reads if use.parameter not in of_shape)
