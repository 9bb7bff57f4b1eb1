"""Networks that stand in another file: `tokens: {from: tokens.yml, frozen: true}`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from artschool.config.compose import merge
from artschool.config.source import Node
from artschool.errors import ConfigError, Fault

Reader = Callable[[Path], Node]


def borrow_networks(tree: Node, path: Path, read: Reader) -> tuple[Node, list[Fault]]:
    """Replace each `from:` of a network by what the other file says of it, below what this file says.

    `from: other.yml` takes the network of the same name, `from: {file: other.yml, network: name}` another one. The
    other file's plugins are imported as well; nothing else of it counts.

    Args:
        path: Where the file stands; overrides are relative to where the command runs.
        read: Gives the tree of another file.

    Returns:
        The tree, and a warning for each network that comes without weights.

    Raises:
        ConfigError: With every fault found.
    """
    networks, borrowed, warnings = tree.get("networks"), _Borrowed(read), list[Fault]()
    if networks is None or not isinstance(networks.value, dict):
        return tree, []
    entries = dict(networks.value)
    for name, node in networks.value.items():
        source = node.get("from")
        if source is None:
            continue
        entries[name] = borrowed.network(name, node, source, path if source.place.line else Path("here"))
        if entries[name].get("weights") is None:
            hint = "Write `weights:` here, with the file that training it wrote."
            warnings.append(
                Fault(source.place, f"networks.{name}", "comes without weights, so it starts at random", hint)
            )
    if borrowed.faults:
        raise ConfigError(borrowed.faults)
    value = {**_mapping(tree), "networks": replace(networks, value=entries)}
    own = tree.get("plugins")
    if borrowed.plugins and (own is None or isinstance(own.value, list)):
        listed = list(own.value) if own is not None and isinstance(own.value, list) else []
        value["plugins"] = replace(own or networks, value=[*listed, *borrowed.plugins])
    return replace(tree, value=value), warnings


class _Borrowed:
    def __init__(self, read: Reader) -> None:
        self.faults: list[Fault] = []
        self.plugins: list[Node] = []
        self._read = read

    def network(self, name: str, node: Node, source: Node, path: Path) -> Node:
        """The entry that `node` means; a faulty one stays."""
        where = f"networks.{name}.from"
        file, other_name = source.get("file") or source, source.get("network")
        if (kind := node.get("type")) is not None:
            self.faults.append(
                Fault(kind.place, f"networks.{name}.type", "stands beside `from`, which gives it; drop one")
            )
        if not isinstance(file.value, str) or not isinstance(getattr(other_name, "value", ""), str):
            message = "names a file, or is {file: other.yml, network: name}"
            self.faults.append(Fault(source.place, where, message))
            return node
        other = path.parent / file.value
        if not other.is_file():
            self.faults.append(Fault.missing_file(file.place, where, other))
            return node
        tree = self._read(other)
        known = _mapping(tree.get("networks"))
        wanted = str(other_name.value) if other_name is not None else name
        if wanted not in known:
            place, message = (other_name or file).place, f"{other} has no network {wanted!r}"
            self.faults.append(Fault.unknown_name(place, where, message, wanted, known, listed_as="Its networks are"))
            return node
        self._add_plugins(tree, other)
        own = {key: child for key, child in _mapping(node).items() if key != "from"}
        return merge(known[wanted], replace(node, value=own))

    def _add_plugins(self, tree: Node, other: Path) -> None:
        plugins = tree.get("plugins")
        for plugin in plugins.children() if plugins is not None else ():
            is_file = isinstance(plugin.value, str) and plugin.value.endswith(".py")
            value = str((other.parent / str(plugin.value)).resolve()) if is_file else plugin.value
            if value not in [known.value for known in self.plugins]:
                self.plugins.append(replace(plugin, value=value))


def _mapping(node: Node | None) -> dict[str, Node]:
    return node.value if node is not None and isinstance(node.value, dict) else {}
