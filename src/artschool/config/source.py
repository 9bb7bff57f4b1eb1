"""Parses YAML text into a tree that keeps the line and column of every key and value."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from artschool.config.origin import origin_of
from artschool.config.scalars import Scalar, resolve
from artschool.config.syntax import MAX_DEPTH, TOO_DEEP, place_of, syntax_fault
from artschool.errors import ConfigError
from artschool.faults import Fault, FaultKind, Place
from artschool.paths import is_dir, open_file
from artschool.wording.names import allowed, closest_name

KeyPath = tuple[str, ...]
"""The keys and list indices that lead from the top of a file to a value."""
MAX_BYTES = 1 << 20
MAX_NODES = 100_000
SCALAR_TAGS = {
    "tag:yaml.org,2002:float": float,
    "tag:yaml.org,2002:int": int,
    "tag:yaml.org,2002:str": str,
    "tag:yaml.org,2002:bool": bool,
    "tag:yaml.org,2002:null": type(None),
}


@dataclass
class Node:
    """A value of a file, with its location.

    Attributes:
        key_place: Location of the key in a mapping; None for an item of a list and for the whole file.
        reference: The reference as written, such as `${env:TOKEN}`, for a value from an environment variable.
        tag: The YAML tag as written, such as `!!float`.
    """

    value: Scalar | list[Node] | dict[str, Node]
    place: Place
    key_place: Place | None = None
    reference: str | None = None
    tag: str | None = None

    @property
    def start(self) -> Place:
        """Location of the key, or of the value where it has no key."""
        return self.key_place or self.place

    def plain(self) -> Any:
        """The value as plain Python."""
        return self._convert(masked=False)

    def masked(self) -> Any:
        """The value as plain Python, with references in place of the values of environment variables."""
        return self._convert(masked=True)

    def get(self, key: str) -> Node | None:
        """The node under a key. None where the key is missing or this node is not a mapping."""
        return self.value.get(key) if isinstance(self.value, dict) else None

    def at(self, path: Sequence[str | int]) -> Node:
        """The deepest node that exists along a path."""
        node = self
        for step in path:
            child = node.child(step)
            if child is None:
                return node
            node = child
        return node

    def existing(self, path: Sequence[str | int]) -> tuple[str | int, ...]:
        """The steps of a path that exist. Others are left out, such as pydantic's names of the branches of a union."""
        node, steps = self, []
        for step in path:
            child = node.child(step)
            if child is not None:
                node = child
                steps.append(step)
        return tuple(steps)

    def child(self, step: str | int) -> Node | None:
        """The node under a key or index, None if there is none."""
        if isinstance(self.value, dict):
            return self.value.get(str(step))
        if isinstance(self.value, list) and str(step).isdecimal() and int(step) < len(self.value):
            return self.value[int(step)]
        return None

    def children(self) -> Iterator[Node]:
        """The nodes one level below."""
        if isinstance(self.value, dict):
            yield from self.value.values()
        elif isinstance(self.value, list):
            yield from self.value

    def _convert(self, *, masked: bool) -> Any:
        if masked and self.reference is not None:
            return self.reference
        if isinstance(self.value, dict):
            return {key: node._convert(masked=masked) for key, node in self.value.items()}
        if isinstance(self.value, list):
            return [node._convert(masked=masked) for node in self.value]
        return self.value


def read_file(path: Path, *, yaml11: bool = False) -> Node:
    """Read a file.

    Raises:
        ConfigError: The file is missing, not UTF-8 text, too large, or invalid YAML. Carries every fault found.
    """
    place = Place(str(path))
    try:
        # In a run folder a pipe is a fault. Elsewhere it may be one of the shell, which someone writes to.
        with path.open("rb") if origin_of(path) is None else open_file(path) as file:
            data = file.read(MAX_BYTES + 1)  # A device has no size, and may have no end.
            size = max(os.fstat(file.fileno()).st_size, len(data))
    except FileNotFoundError:
        raise ConfigError(_missing(place, path)) from None
    except IsADirectoryError:
        raise ConfigError(Fault(place, "", "expected a YAML file, got a folder")) from None
    except OSError as error:
        raise ConfigError(Fault(place, "", f"cannot be read: {error.strerror}")) from None
    if size > MAX_BYTES:
        raise ConfigError(Fault(place, "", f"file too large: {size:,} bytes (limit {MAX_BYTES:,})"))
    try:
        return read_text(data.decode("utf-8-sig"), str(path), yaml11=yaml11)
    except UnicodeDecodeError as error:
        message = f"is not UTF-8 text: byte {error.start} is 0x{data[error.start]:02x}"
        raise ConfigError(Fault(place, "", message)) from None


def read_text(text: str, source: str, *, yaml11: bool = False) -> Node:
    """Read one YAML document. Its nodes keep their tags, which `tag_faults` reports.

    Raises:
        ConfigError: The text is invalid YAML, nested too deeply or too large when expanded, or has a duplicate key.
            Carries every fault found.
    """
    composer = _Composer(text, source, yaml11)
    try:
        node = composer.document()
    except yaml.YAMLError as error:
        raise ConfigError([*composer.faults, syntax_fault(error, source, text)]) from None
    if composer.faults:
        raise ConfigError(composer.faults)
    return node


def exists(tree: Node, path: Sequence[str]) -> Node | None:
    """The node at a path, None where the path does not exist."""
    node: Node | None = tree
    for step in path:
        node = node.child(step) if node is not None else None
    return node


def tag_faults(node: Node) -> list[Fault]:
    """A fault for each YAML tag at or below a node. The language of the files has no tags."""
    faults = []
    if node.tag is not None:
        faults.append(_tag_fault(node.place, node.tag))
    for child in node.children():
        faults += tag_faults(child)
    return faults


def _tag_fault(place: Place, tag: str) -> Fault:
    return Fault(place, "", f"YAML tag {tag!r} is not supported; write the value without it")


def _missing(place: Place, path: Path) -> Fault:
    folder, message = path.parent, "file does not exist"
    names = sorted(file.name for file in folder.glob("*.y*ml")) if is_dir(folder) else []
    hint, kind = allowed(f"YAML files in {folder}", path.name, names) if names else "", FaultKind.MISSING_FILE
    suggestion = closest_name(path.name, names)
    return Fault(place, "", message, hint, kind=kind, found=path.name, known=tuple(names), suggestion=suggestion)


class _Composer:
    """Builds nodes from the parser's events. PyYAML's own C composer has no depth limit and crashes on deep nesting."""

    def __init__(self, text: str, source: str, yaml11: bool) -> None:
        self.faults: list[Fault] = []
        self._source = source
        self._yaml11 = yaml11
        self._anchors: dict[str, tuple[Node, int]] = {}
        self._count = 0
        self._events: Iterator[Any] = yaml.parse(text, Loader=yaml.CLoader)

    def document(self) -> Node:
        """The only document of the text."""
        next(self._events)
        event = next(self._events)
        if isinstance(event, yaml.StreamEndEvent):
            raise ConfigError(Fault(Place(self._source), "", "file is empty"))
        node = self._node(next(self._events), 0)
        next(self._events)
        event = next(self._events)
        if not isinstance(event, yaml.StreamEndEvent):
            self.faults.append(Fault(self._place(event), "", "second YAML document; a file contains only one"))
        return node

    def _node(self, event: Any, depth: int) -> Node:
        if depth > MAX_DEPTH:
            raise ConfigError(Fault(self._place(event), "", TOO_DEEP))
        if isinstance(event, yaml.AliasEvent):
            return self._alias(event)
        before = self._count
        self._add(1, event)
        if isinstance(event, yaml.ScalarEvent):
            node = self._scalar(event)
        elif isinstance(event, yaml.SequenceStartEvent):
            node = Node(self._items(depth), self._place(event), tag=_shown_tag(event))
        else:
            node = Node(self._entries(depth), self._place(event), tag=_shown_tag(event))
        if event.anchor is not None:
            self._anchors[event.anchor] = (node, self._count - before)
        return node

    def _items(self, depth: int) -> list[Node]:
        items = []
        while not isinstance(event := next(self._events), yaml.SequenceEndEvent):
            items.append(self._node(event, depth + 1))
        return items

    def _entries(self, depth: int) -> dict[str, Node]:
        entries: dict[str, Node] = {}
        while not isinstance(event := next(self._events), yaml.MappingEndEvent):
            key = self._node(event, depth + 1)
            node = self._node(next(self._events), depth + 1)
            name = self._key(key)
            if name in entries:
                self.faults.append(Fault.duplicate_key(key.place, name, entries[name].start))
                continue
            entries[name] = Node(node.value, node.place, key.place, node.reference, node.tag)
        return entries

    def _key(self, key: Node) -> str:
        if key.value == "<<":
            hint = "Fix: write `base: other.yml`, or repeat a whole value with an anchor and an alias."
            self.faults.append(Fault(key.place, "", "merge key `<<` is not part of YAML 1.2", hint))
        elif not isinstance(key.value, str):
            is_scalar = isinstance(key.value, bool | int | float | None)
            found = json.dumps(key.value) if is_scalar else "a list or a mapping"
            hint = "Fix: put it in quotes." if is_scalar else ""
            if type(key.value) is int:  # `{lr: 0,1}`
                hint += " Decimals begin with a point: `0.1`."
            self.faults.append(Fault(key.place, "", f"expected text as a key, got {found}", hint))
        return str(key.value)

    def _scalar(self, event: yaml.ScalarEvent) -> Node:
        place, tag = self._place(event), _shown_tag(event)
        if tag is None:
            plain = event.style is None or event.style == ""
            return Node(resolve(event.value, yaml11=self._yaml11) if plain else event.value, place)
        kind = SCALAR_TAGS.get(str(event.tag))
        value = event.value if kind is str else resolve(event.value, yaml11=True)
        if kind is float and isinstance(value, int) and not isinstance(value, bool):
            value = float(value)
        if kind is None or not isinstance(value, kind):
            self.faults.append(_tag_fault(place, tag))
        return Node(value, place, tag=tag)

    def _alias(self, event: yaml.AliasEvent) -> Node:
        if event.anchor not in self._anchors:
            raise ConfigError(
                Fault(self._place(event), "", f"alias '*{event.anchor}' has no earlier anchor '&{event.anchor}'")
            )
        node, count = self._anchors[event.anchor]
        self._add(count, event)
        return node

    def _add(self, count: int, event: Any) -> None:
        self._count += count
        if self._count > MAX_NODES:
            raise ConfigError(Fault(self._place(event), "", f"expands to more than {MAX_NODES:,} values"))

    def _place(self, event: Any) -> Place:
        return place_of(self._source, event.start_mark)


def _shown_tag(event: Any) -> str | None:
    if event.tag is None or event.tag == "!":
        return None
    return str(event.tag).replace("tag:yaml.org,2002:", "!!")
