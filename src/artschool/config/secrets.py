"""Values whose key looks like a secret, such as `api_key: ...`. Files of a run and messages do not contain them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import yaml

from artschool.config.source import KeyPath, Node
from artschool.errors import ConfigError
from artschool.faults import Fault
from artschool.wording.hidden import SECRET, STARS, hide, is_secret


def hide_secrets(tree: Node) -> Node:
    """Mark the secrets of a file like values of environment variables, which are never shown.

    Raises:
        ConfigError: A file of a run, in which they are left out, is read again.
    """
    faults: list[Fault] = []
    tree = _hide(tree, (), "", faults)
    if faults:
        raise ConfigError(faults)
    return tree


def _hide(node: Node, path: KeyPath, key: str, faults: list[Fault]) -> Node:
    """Hide the secrets at and below a node. `key` is that of the node, or of the list that it is in."""
    if isinstance(node.value, dict):
        return replace(
            node, value={name: _hide(child, (*path, name), name, faults) for name, child in node.value.items()}
        )
    if isinstance(node.value, list):
        parts = [_hide(child, (*path, str(index)), key, faults) for index, child in enumerate(node.value)]
        return replace(node, value=parts)
    if node.value == STARS and SECRET.fullmatch(key):
        fix = f"Fix: write `{key}: ${{env:NAME}}`, and set the variable NAME."
        faults.append(Fault(node.place, ".".join(path), "the secret has been left out of this file", fix))
    if node.reference is None and is_secret(key, node.value):
        hide(str(node.value), STARS)
        return replace(node, reference=STARS)
    return node


def override_without_secret(text: str) -> str:
    """An override, `path.to.key=value`, with stars in place of a secret."""
    path, _, value = text.partition("=")
    return f"{path}={STARS}" if is_secret(path.rpartition(".")[2], value) else text


def text_without_secrets(text: str) -> str:
    """The text of a valid file, with stars in place of its secrets."""
    text = text.removeprefix("\ufeff")
    for start, end in sorted({*_spans(yaml.compose(text, Loader=yaml.CSafeLoader))}, reverse=True):
        newline = "\n" if text[start:end].endswith("\n") else ""
        text = f"{text[:start]}'{STARS}'{newline}{text[end:]}"
    return text


def _spans(node: yaml.Node | None, key: str = "") -> Iterator[tuple[int, int]]:
    """Start and end of each secret. `key` is that of the node, or of the list that it is in."""
    if isinstance(node, yaml.SequenceNode):
        for item in node.value:
            yield from _spans(item, key)
    elif isinstance(node, yaml.MappingNode):
        for name, value in node.value:
            yield from _spans(value, str(name.value))
    elif node is not None and is_secret(key, node.value) and "${" not in node.value:
        yield node.start_mark.index, node.end_mark.index
