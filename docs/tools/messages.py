"""Tables of the pages whose cells are texts of the code."""

from __future__ import annotations

import re
from typing import Any

REFUSED = re.compile(r"^\| (\w+) \| `((?:def|class) .*?)` \| (.*) \|$", re.MULTILINE)


def refusal(kind: str, code: str) -> str:
    """What registering a component says that is refused, without the component's name."""
    from artschool.components.builtins import load_builtins
    from artschool.errors import ConfigError
    from artschool.registry import REGISTRIES
    from docs.tools.registries import shipped_only

    load_builtins()
    namespace: dict[str, Any] = {"__name__": "components_page"}
    exec("import torch\nfrom torch import Tensor, nn\nfrom artschool import Network\n", namespace)
    exec(code.replace(r"\|", "|"), namespace)
    with shipped_only():
        try:
            REGISTRIES[kind].register(next(reversed(namespace.values())))
        except ConfigError as error:
            return str(error).split(" cannot be registered: ")[-1]
    raise AssertionError(f"{code} is not refused")


def refused_table(text: str) -> str:
    """The page about components with the messages of now."""

    def row(match: re.Match[str]) -> str:
        return f"| {match[1]} | `{match[2]}` | {refusal(match[1], match[2]).replace('|', chr(92) + '|')} |"

    return REFUSED.sub(row, text)


def rules_table(text: str) -> str:
    """The page about lint with the rules of now."""
    from artschool.lint import RULES

    rows = "".join(f"| `{name}` | {rule.summary} |\n" for name, rule in RULES.items())
    return re.sub(
        r"(^\| rule \|.*\n\|---\|---\|\n)(?:\|.*\n)+", lambda match: match[1] + rows, text, flags=re.MULTILINE
    )
