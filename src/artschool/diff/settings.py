"""The settings of a file as plain values that a checkpoint can keep, and the differences between two of them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import PurePath
from typing import Any

from artschool.config.source import KeyPath
from artschool.config.structure import Config
from artschool.config.write import LONGEST, flow, short
from artschool.diff.difference import has_reference
from artschool.diff.normalized import NormalizedConfig, normalize

NOT_SET = object()
"""Value of a setting that a file does not have."""


@dataclass(frozen=True)
class Changed:
    """A setting with another value than before."""

    path: KeyPath
    then: Any
    now: Any

    @property
    def is_entry(self) -> bool:
        """Whether an entry was added or removed."""
        return self.then is NOT_SET or self.now is NOT_SET

    def __str__(self) -> str:
        return f"{'.'.join(self.path)}: {_text(self.then)} -> {_text(self.now)}"


def settings_of(config: Config) -> dict[str, Any]:
    """The settings of a checked file by path: with every default, and a hash of the code of each plugin.

    Text is as written: a path does not depend on the machine, and `${env:...}` is not replaced.
    """
    normalized = normalize(config)
    settings: dict[str, Any] = _as_written(normalized, (), normalized.value)
    settings["plugins"] = {PurePath(name).name: code for name, code in normalized.value["plugins"].items()}
    return settings


def changed_settings(then: Any, now: Any, path: KeyPath = ()) -> Iterator[Changed]:
    """The differences between two settings. Of components of different types, only the type is compared."""
    if isinstance(then, Mapping) and isinstance(now, Mapping):
        keys = [*then, *(key for key in now if key not in then)]
        types = then.get("type"), now.get("type")
        if types[0] != types[1] and any(isinstance(each, str) for each in types):
            keys = ["type"]
        for key in keys:
            yield from changed_settings(then.get(key, NOT_SET), now.get(key, NOT_SET), (*path, key))
    elif then != now:
        yield Changed(path, then, now)


def _as_written(config: NormalizedConfig, path: KeyPath, value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _as_written(config, (*path, name), part) for name, part in value.items()}
    if isinstance(value, list):
        return [_as_written(config, (*path, str(index)), part) for index, part in enumerate(value)]
    node = config.node_at(path)
    is_text = isinstance(value, str) and node is not None
    return node.masked() if node is not None and (is_text or has_reference(node)) else value


def _text(value: Any) -> str:
    return "(not set)" if value is NOT_SET else short(flow(value), LONGEST)
