"""The sections that name keys to show: `log.pictures`, and `pictures`, `audio` and `video` of evaluations."""

from __future__ import annotations

from collections.abc import Iterator

from artschool.config.report_sections import ShownSection
from artschool.config.source import KeyPath
from artschool.config.structure import Config
from artschool.faults import Place

PICTURES = ("log", "pictures")


def shown_sections(config: Config) -> dict[KeyPath, ShownSection]:
    """All these sections of a file, by their paths."""
    pictures = config.sections.log.pictures
    found: dict[KeyPath, ShownSection] = {} if pictures is None else {PICTURES: pictures}
    for evaluation in config.evaluations.values():
        found |= {("evaluate", evaluation.name, name): section for name, section in evaluation.section.shown.items()}
    return found


def shown_keys(config: Config, path: KeyPath, section: ShownSection) -> Iterator[tuple[str, str, Place]]:
    """The path of each option that names a key of a section, the key, and its place."""
    node, at = config.tree.at(path), ".".join(path)
    for index, key in enumerate(section.keys):
        yield f"{at}.keys", key, node.at(("keys", index)).place
    if section.labels is not None:
        yield f"{at}.labels", section.labels, node.at(("labels",)).place
