"""Networks taken from another file: `tokens: {from: tokens.yml, frozen: true}`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from artschool.config.compose import merge
from artschool.config.messages import describe
from artschool.config.paths import named_at
from artschool.config.plugins import at_path, file_of, is_path
from artschool.config.source import Node
from artschool.errors import ConfigError
from artschool.faults import Fault

Reader = Callable[[Path], Node]


def borrow_networks(tree: Node, read: Reader) -> tuple[Node, list[Fault]]:
    """Replace each `from:` of a network by the options in the other file. Options in this file take precedence.

    `from: other.yml` takes the network of the same name, `from: {file: other.yml, network: name}` one of another name.
    The plugins of the other file are imported as well; the rest of it is ignored.

    Args:
        read: Returns the tree of another file.

    Returns:
        The tree, and a warning for each borrowed network without weights.

    Raises:
        ConfigError: Carries every fault found.
    """
    networks, borrowed, warnings = tree.get("networks"), _Borrowed(read), list[Fault]()
    if networks is None or not isinstance(networks.value, dict):
        return tree, []
    entries = dict(networks.value)
    for name, node in networks.value.items():
        source = node.get("from")
        if source is None:
            continue
        entries[name] = borrowed.network(name, node, source)
        if entries[name].get("weights") is None:
            hint = "Fix: add `weights:` with the file that its training wrote."
            warnings.append(
                Fault(source.place, f"networks.{name}", "has no weights, so it starts from random ones", hint)
            )
    if borrowed.faults:
        raise ConfigError(borrowed.faults)
    value = {**_mapping(tree), "networks": replace(networks, value=entries)}
    own = tree.get("plugins")
    if borrowed.plugins and (own is None or isinstance(own.value, list)):
        listed = list(own.value) if own is not None and isinstance(own.value, list) else []
        known = [_code(node).value for node in listed]
        more = [node for node in borrowed.plugins if node.value not in known]
        value["plugins"] = replace(own or networks, value=[*listed, *more])
    return replace(tree, value=value), warnings


class _Borrowed:
    def __init__(self, read: Reader) -> None:
        self.faults: list[Fault] = []
        self.plugins: list[Node] = []
        self._read = read

    def network(self, name: str, node: Node, source: Node) -> Node:
        """The entry with the options of the other file; the entry unchanged where it is faulty."""
        where = f"networks.{name}.from"
        file, other_name = source.get("file") or source, source.get("network")
        if (kind := node.get("type")) is not None:
            self.faults.append(
                Fault(
                    kind.place, f"networks.{name}.type", "conflicts with `from`, which also sets the type; remove one"
                )
            )
        if not isinstance(file.value, str) or not isinstance(getattr(other_name, "value", ""), str):
            expected = ("a file", "{file: other.yml, network: name}")
            self.faults.append(Fault.wrong_value(source.place, where, expected, describe(source)))
            return node
        other = named_at(file.place, file.value)
        if (missing := Fault.missing_file(file.place, where, other)) is not None:
            self.faults.append(missing)
            return node
        tree = self._read(other)
        known = _mapping(tree.get("networks"))
        wanted = str(other_name.value) if other_name is not None else name
        if wanted not in known:
            place, message = (other_name or file).place, f"{other} has no network {wanted!r}"
            self.faults.append(Fault.unknown_name(place, where, message, wanted, known, listed_as="Available networks"))
            return node
        self._add_plugins(tree)
        own = {key: child for key, child in _mapping(node).items() if key != "from"}
        return merge(known[wanted], replace(node, value=own))

    def _add_plugins(self, tree: Node) -> None:
        plugins = tree.get("plugins")
        for plugin in plugins.children() if plugins is not None else ():
            code = _code(plugin)
            if code.value not in [known.value for known in self.plugins]:
                self.plugins.append(code)


def _code(plugin: Node) -> Node:
    """A plugin by what it imports: the absolute path of a file, or the name of a module."""
    if isinstance(plugin.value, str) and is_path(plugin.value):
        return replace(plugin, value=at_path(plugin.value, file_of(plugin.value, plugin.place)))
    return plugin


def _mapping(node: Node | None) -> dict[str, Node]:
    return node.value if node is not None and isinstance(node.value, dict) else {}
