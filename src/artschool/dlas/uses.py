"""What an injector of a checkout reads, writes and calls, from the text of its class."""

from __future__ import annotations

import ast
import inspect
import textwrap
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

NETWORKS = {"generators", "discriminators"}
"""The entries of `env` that contain the networks."""


@dataclass(frozen=True)
class Uses:
    """What an injector with some options uses.

    Attributes:
        reads: Keys of the state, those of `in` first.
        writes: Keys that it returns, those of `out` first.
        networks: Names of networks.
    """

    reads: tuple[str, ...]
    writes: tuple[str, ...]
    networks: tuple[str, ...]


def uses_of(injector: type, opt: Mapping[str, Any]) -> Uses:
    """What an injector uses: `in`, `out`, and every option by whose value its methods index the state or the networks.

    Args:
        injector: The class: `__init__(opt, env)`, and `forward(state)`, which returns a mapping.
        opt: Its options.
    """
    trees = [_tree(base) for base in reversed(injector.__mro__) if any(b.__name__ == "Injector" for b in base.__mro__)]
    nodes = [node for tree in trees for node in ast.walk(tree)]
    values = {"input": opt.get("in"), "output": opt.get("out")}
    for node in nodes:
        if isinstance(node, ast.Assign):
            value = next((opt[name] for name in _texts(node.value) if name in opt), None)
            values |= {t.attr: value for t in node.targets if isinstance(t, ast.Attribute) and value is not None}
    reads, writes, networks = _names(opt.get("in")), _names(opt.get("out")), list[str]()
    for node in nodes:
        if isinstance(node, ast.Subscript):
            of_networks = any(text in NETWORKS for text in _texts(node.value))
            is_state = isinstance(node.value, ast.Name) and node.value.id == "state"
            if of_networks:
                networks += _indexed(node.slice, values, opt)
            elif is_state and isinstance(node.ctx, ast.Load):
                reads += _indexed(node.slice, values, opt)
        elif isinstance(node, ast.Return) and isinstance(node.value, ast.Dict):
            writes += [name for key in node.value.keys if key is not None for name in _indexed(key, values, opt)]
    return Uses(_unique(reads), _unique(writes), _unique(networks))


@cache
def _tree(cls: type) -> ast.AST:
    return ast.parse(textwrap.dedent(inspect.getsource(cls)))


def _indexed(index: ast.expr, values: Mapping[str, Any], opt: Mapping[str, Any]) -> list[str]:
    """The names that an index may be: a constant, an attribute that holds an option, or an option itself."""
    if isinstance(index, ast.Constant):
        return _names(index.value)
    if isinstance(index, ast.Attribute):
        return _names(values.get(index.attr))
    return [name for text in _texts(index) for name in _names(opt.get(text))]


def _texts(node: ast.AST) -> Iterator[str]:
    return (n.value for n in ast.walk(node) if isinstance(n, ast.Constant) and isinstance(n.value, str))


def _names(value: Any) -> list[str]:
    listed = value if isinstance(value, list | tuple) else [value]
    return [name for name in listed if isinstance(name, str) and name]


def _unique(names: list[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(names))
