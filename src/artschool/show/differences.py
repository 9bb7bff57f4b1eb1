"""What changed between the starts of a run, and what the files of several runs do differently."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from artschool.config.source import KeyPath
from artschool.config.write import flow, short
from artschool.diff.difference import consequence_of
from artschool.diff.settings import changed_settings

NAMES = (("name",), ("runs",))
"""Settings that only name a run."""
LONGEST = 120
"""Longest value that is shown in full, in characters."""


def changes(then: Mapping[str, Any], now: Mapping[str, Any]) -> list[dict[str, str]]:
    """The settings that changed, with both values and what they affect."""
    return [
        {"path": ".".join(path), "effect": _effect(path), "then": _text(then, path), "now": _text(now, path)}
        for path in _changed(then, now)
    ]


def comparison(settings: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """The settings in which several runs differ: what each affects, and its value in each run. Without names.

    A run whose settings are unknown, which are empty, has no values.
    """
    known = [each for each in settings if each]
    paths = [path for each in known[1:] for path in _changed(known[0], each) if path not in NAMES]
    shown = sorted(dict.fromkeys(paths), key=lambda path: list(known[0]).index(path[0]) if path[0] in known[0] else 99)
    return [
        {
            "path": ".".join(path),
            "effect": _effect(path),
            "values": [_text(each, path) if each else "unknown" for each in settings],
        }
        for path in shown
    ]


def _changed(then: Mapping[str, Any], now: Mapping[str, Any]) -> list[KeyPath]:
    return [change.path for change in changed_settings(then, now)]


def _effect(path: KeyPath) -> str:
    """What a setting affects, in a few words."""
    try:
        return str(consequence_of(path)).partition(":")[0]
    except StopIteration:  # A setting of a later version.
        return ""


def _text(settings: Any, path: KeyPath) -> str:
    for name in path:
        if not isinstance(settings, Mapping) or name not in settings:
            return "(not set)"
        settings = settings[name]
    return short(flow(_told(settings)), LONGEST)


def _told(value: Any) -> Any:
    """A value without the entries that are null or empty. An added component has one for each option that all take."""
    if not isinstance(value, Mapping):
        return value
    return {name: _told(part) for name, part in value.items() if part is not None and part not in ([], {})}
