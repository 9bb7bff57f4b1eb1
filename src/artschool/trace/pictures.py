"""Finds keys to show whose values are no images, no sound or no video."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from artschool.config.shown import PICTURES, shown_keys, shown_sections
from artschool.config.source import KeyPath
from artschool.config.structure import Config
from artschool.faults import Fault
from artschool.trace.keys import FORMS, TracedKey


def picture_faults(config: Config, keys: Mapping[str, TracedKey], below: KeyPath = PICTURES) -> Iterator[Fault]:
    """Faults of keys that cannot be shown.

    Args:
        keys: The keys of the dataflow.
        below: The path of its sections: `log.pictures`, or an evaluation.
    """
    for path, section in shown_sections(config).items():
        for at, key, place in shown_keys(config, path, section) if path[: len(below)] == below else ():
            if key in keys and path[-1] not in keys[key].shown_as and not at.endswith(".labels"):
                message = f"{key!r} cannot be shown: it is {keys[key].kind}"
                yield Fault(place, at, message, FORMS[path[-1]])
