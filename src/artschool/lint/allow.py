"""Comments that allow a finding of a rule: `# lint: allow weight-zero: logged, to compare with the paper`."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from artschool.config.source import Node
from artschool.faults import Fault, Place
from artschool.lint.rule import Rule
from artschool.lint.subject import Subject
from artschool.wording.names import nearest

COMMENT = re.compile(r"(?:^|\s)#\s*lint:\s*allow\b\s*(?P<rule>[\w-]*)\s*:?\s*(?P<why>.*)$")
FORM = "Fix: write `# lint: allow RULE: why`; `artschool lint --rules` lists the rules."


@dataclass(frozen=True)
class Allow:
    """A comment that allows findings on a line.

    Attributes:
        place: The location of the comment.
        line: Its own line, or the first line below that is more than a comment.
    """

    rule: str
    why: str
    place: Place
    line: int

    def covers(self, rule: str, place: Place) -> bool:
        """Whether the comment allows a finding of a rule at a location."""
        return self.rule == rule and bool(self.why) and (self.place.source, self.line) == (place.source, place.line)


def sources_of(tree: Node) -> list[str]:
    """The files that values come from."""
    found: dict[str, None] = {}
    stack = [tree]
    while stack:
        node = stack.pop()
        if node.place.line:
            found[node.place.source] = None
        stack += node.children()
    return list(found)


def allows_of(source: str) -> list[Allow]:
    """The comments of a file; none if the file can no longer be read."""
    try:
        lines = Path(source).read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError):
        return []
    found = []
    for number, line in enumerate(lines, start=1):
        if match := COMMENT.search(line):
            place = Place(source, number, line.index("#", match.start()) + 1)
            found.append(Allow(match["rule"], match["why"].strip(), place, _allowed_line(lines, number)))
    return found


def _allowed_line(lines: list[str], number: int) -> int:
    while number <= len(lines) and lines[number - 1].lstrip().startswith("#"):
        number += 1
    return number


def wrong_allows(
    subject: Subject, allows: Iterable[Allow], used: Collection[Allow], rules: Mapping[str, Rule]
) -> Iterator[Fault]:
    """Faults of comments: an unknown rule, no reason, or no finding to allow.

    The last is a fault only in the file itself, without overrides, and after every rule could see what it needs. A base
    serves other files too, overrides change what rules find, and some rules find more in built networks or with several
    processes.
    """
    overridden = _has_overrides(subject.config.tree)
    for allow in allows:
        if allow.rule not in rules:
            said = f"allows {allow.rule!r}, which is not a rule" if allow.rule else "does not say which rule it allows"
            yield Fault(allow.place, "", said, f"{nearest(allow.rule, rules)}\n{FORM}".strip())
        elif not allow.why:
            yield Fault(allow.place, "", f"does not say why {allow.rule} is allowed", FORM)
        elif (
            allow not in used
            and not overridden
            and (subject.networks is not None or not rules[allow.rule].sees_networks)
            and not rules[allow.rule].sees_processes
            and allow.place.source == subject.config.tree.place.source
        ):
            yield Fault(allow.place, "", f"allows {allow.rule}, which finds nothing here", "Fix: remove the comment.")


def _has_overrides(tree: Node) -> bool:
    return not tree.place.line or any(_has_overrides(node) for node in tree.children())
