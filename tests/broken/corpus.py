"""Recipes with one mistake each, and what `artschool check --trace` says: reads the tables beside this file.

A table is one kind of mistake. A case starts with `== recipe: title`. Lines after `- ` are a part of the recipe, which
stands there once, and lines after `+ ` replace it; or `$ ` gives an override. Then comes what is said, fault by fault:

    @ text              where: text of the changed file that stands there once; a `^` in it marks the place itself
    path: message       what, and below it the hint, indented; `...` stands for any words
    ! 6                 the exit code, where it is not 2

`\\n` in the text is the end of a line, `@ override` the place of a fault in the override, `@ other.yml: text` one in
another recipe.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path

TABLES = sorted(Path(__file__).parent.glob("*.txt"))
RECIPES = Path(__file__).parents[2] / "recipes"


@dataclass
class Case:
    """A recipe with one mistake.

    Attributes:
        says: For each fault: the text that marks its place, and the lines about it.
    """

    kind: str
    recipe: str
    title: str
    old: list[str] = field(default_factory=list)
    new: list[str] = field(default_factory=list)
    override: str = ""
    code: int = 2
    says: list[tuple[str, list[str]]] = field(default_factory=list)

    @property
    def name(self) -> str:
        """Of the recipe's file."""
        return f"{self.recipe}.yml"

    def text(self) -> str:
        """The changed recipe."""
        return self._replaced((RECIPES / self.name).read_text(), "\n".join(self.old), "\n".join(self.new))

    def expected(self) -> re.Pattern[str]:
        """What the command says, every line of it."""
        lines = [line for mark, said in self.says for line in (f"{self._place(mark)}: {said[0]}", *said[1:])]
        number = len(self.says)
        if self.code == 2:
            lines.append(f"{number} fault{'s' if number > 1 else ''}; nothing was started.")
        return re.compile(re.escape("\n".join(lines)).replace(r"\.\.\.", ".*") + r"\n")

    def _replaced(self, text: str, old: str, new: str) -> str:
        if self.override:
            return text
        assert text.count(old) == 1, f"{self.title}: {old!r} stands {text.count(old)} times in {self.name}"
        return text.replace(old, new)

    def _place(self, mark: str) -> str:
        if mark == "override":
            return f"override {self.override!r}"
        name, text = self.name, self.text()
        if other := re.match(r"(\w+\.yml): ", mark):
            name, mark = other[1], mark[other.end() :]
            text = (RECIPES / name).read_text()
        before, _, after = mark.replace("\\n", "\n").rpartition("^")
        assert text.count(before + after) == 1, f"{self.title}: {mark!r} stands {text.count(before + after)} times"
        above = text[: text.index(before + after) + len(before)].split("\n")
        return f"{name}:{len(above)}:{len(above[-1]) + 1}"


def read_cases(table: Path) -> list[Case]:
    """The cases of a table."""
    cases: list[Case] = []
    for line in table.read_text().splitlines():
        mark, rest = line[:2], line[2:]
        if line.startswith("== "):
            recipe, _, title = line[3:].partition(": ")
            cases.append(Case(table.stem, recipe, title))
        elif not line or line.startswith("# "):
            continue
        elif mark in ("- ", "+ "):
            (cases[-1].old if mark == "- " else cases[-1].new).append(rest)
        elif mark == "$ ":
            cases[-1].override = rest
        elif mark == "! ":
            cases[-1].code = int(rest)
        elif mark == "@ ":
            cases[-1].says.append((rest, []))
        else:
            cases[-1].says[-1][1].append(line)
    return cases
