"""Finds keys of `log.pictures` whose values are not images."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from artschool.config.structure import Config
from artschool.errors import Fault
from artschool.trace.keys import TracedKey
from artschool.trace.untrained import node_of_name


def picture_faults(config: Config, keys: Mapping[str, TracedKey]) -> Iterator[Fault]:
    """Faults of `log.pictures.keys` whose values cannot be drawn."""
    pictures = config.sections.log.pictures
    node = config.tree.at(("log", "pictures", "keys"))
    for key in pictures.keys if pictures else ():
        if key in keys and not keys[key].drawable:
            message = f"{key!r} cannot be drawn: it is {keys[key].kind}"
            hint = "Images are (B, 1 or 3, H, W), maps (B, H, W), sequences (B, T, 1 or 3, H, W)."
            yield Fault(node_of_name(node, key).place, "log.pictures.keys", message, hint)
