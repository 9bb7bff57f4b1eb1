"""The keys of data sets, as far as a file and the code of its data sets declare them."""

from __future__ import annotations

from artschool.config.structure import Component
from artschool.faults import Fault


def declared_keys(data: Component | None) -> tuple[str, ...] | None:
    """The keys of a batch of a data set, None when only the running data set knows them."""
    keys = yielded_keys(data)
    padded: list[str] = getattr(data.entry, "pad", None) or [] if data is not None else []
    return None if keys is None else tuple(dict.fromkeys((*keys, *(f"{key}_lengths" for key in padded))))


def yielded_keys(data: Component | None) -> tuple[str, ...] | None:
    """The keys of a sample: `keys:` in the file, or those that the signature declares.

    A data set with nested ones whose `TypedDict` is empty yields the keys that all of them yield. A data set whose keys
    depend on its options lists them in its option `columns`, a mapping from key to source.
    """
    if data is None or data.registered is None:
        return None
    own = _own_keys(data)
    return _passed_keys(data) if own == () and data.inner else own


def _own_keys(data: Component) -> tuple[str, ...] | None:
    """The keys that a data set declares itself. Empty: those of the nested data sets."""
    assert data.registered is not None
    listed: list[str] | None = getattr(data.entry, "keys", None)
    if listed is not None:
        return tuple(listed)
    if data.registered.signature.yields is not None:
        return data.registered.signature.yields
    sources = getattr(data.entry, "example", None) or getattr(data.entry, "option_columns", None)
    return tuple(sources) if isinstance(sources, dict) else None


def _passed_keys(data: Component) -> tuple[str, ...] | None:
    passed = [keys for keys in map(yielded_keys, data.inner) if keys is not None]
    if len(passed) < len(data.inner):
        return None
    return tuple(key for key in passed[0] if all(key in keys for keys in passed))


def undeclared(data: Component) -> Fault:
    """The warning about a data set whose keys are unknown before it is loaded."""
    culprit = _without_keys(data)
    fix = "annotate `__getitem__` of the data set with a TypedDict"
    fix = f"write `keys: [...]` here, or {fix}" if culprit is data else f"{fix}, or write `keys: [...]` in {data.path}"
    message = "does not declare its keys, so a misspelt key is found only at the first batch"
    return Fault(culprit.node.place, culprit.path, message, f"Fix: {fix}.")


def _without_keys(data: Component) -> Component:
    """The data set to blame for unknown keys: a nested one if the data set passes on what that yields."""
    if data.registered is not None and _own_keys(data) == ():
        for inner in data.inner:
            if yielded_keys(inner) is None:
                return _without_keys(inner)
    return data
