"""The code blocks of a page, and what comments of HTML say about them.

A comment directly above a block is shown by no renderer. Several may stand one below the other:

- `<!-- file: NAME -->`: the block is the file NAME, for the commands below it.
- `<!-- needs: PAGE NAME -->`: the commands need the file NAME of another page.
- `<!-- append: NAME -->`: the block is a part of the file NAME, which several blocks make up.
- `<!-- setup: COMMAND -->`: a shell command that runs before the block, such as one that writes a file.
- `<!-- output: COMMAND -->`: the block is what a command prints.
- `<!-- skip: REASON -->`: the commands of the block are not run.
- `<!-- slow: REASON -->`: the commands of the page take over five seconds.
- `<!-- soak: REASON -->`: the commands of the page take even longer, and run in `make soak` only.
- `<!-- numbers: REASON -->`: the numbers in the output may differ; everything else may not.

A block whose first line starts with `$ ` is a transcript: commands, each followed by its output, in which a line `...`
stands for any lines. Blocks of the language `sh` are commands without their output.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
BLOCK = re.compile(r"^(?P<fence>```+)(?P<language>[^\n]*)\n(?P<text>.*?)^(?P=fence)[ \t]*$", re.M | re.S)
COMMENT = re.compile(r"<!-- (file|needs|append|setup|output|skip|slow|soak|numbers)(?:: (.*?))? -->", re.S)


@dataclass(frozen=True)
class Command:
    """A command of a page and the output that the page shows; None where it shows none."""

    line: str
    output: list[str] | None


@dataclass(frozen=True)
class Block:
    """A code block of a page.

    Attributes:
        language: The word after the fence.
        text: The content, with its last newline.
        start: Index of the content in the page.
        notes: The comments above it, (word, text) each.
    """

    language: str
    text: str
    start: int
    notes: tuple[tuple[str, str], ...] = ()

    def note(self, word: str) -> str | None:
        """The text of a comment, None without one."""
        return dict(self.notes).get(word)

    @property
    def is_transcript(self) -> bool:
        """Whether it shows commands with their output."""
        return self.text.startswith("$ ")

    @property
    def commands(self) -> list[Command]:
        """The commands of a transcript or of a block of shell commands, or the one whose output the block is."""
        if (line := self.note("output")) is not None:
            return [Command(line, self.text.rstrip("\n").split("\n"))]
        if self.is_transcript:
            parts = re.split(r"^\$ (.*)\n", self.text, flags=re.MULTILINE)
            pairs = zip(parts[1::2], parts[2::2], strict=True)
            return [Command(line, output.rstrip("\n").split("\n") if output else []) for line, output in pairs]
        if self.language == "sh":
            lines = (re.sub(r"(^|\s+)#.*$", "", line).rstrip() for line in self.text.splitlines())
            return [Command(line, None) for line in lines if line]
        return []


def pages() -> list[Path]:
    """The pages of the repository."""
    return [*sorted((ROOT / "docs").glob("*.md")), ROOT / "README.md", ROOT / "CONTRIBUTING.md"]


def blocks(text: str) -> list[Block]:
    """The code blocks of a page, in order."""
    found = []
    for match in BLOCK.finditer(text):
        notes: list[tuple[str, str]] = []
        above = text[: match.start()].rstrip("\n")
        while above.endswith("-->"):
            begin = above.rindex("<!--")
            comment = COMMENT.fullmatch(above[begin:])
            if comment is None:
                break
            notes.insert(0, (comment[1], (comment[2] or "").strip()))
            above = above[:begin].rstrip("\n")
        found.append(Block(match["language"].strip(), match["text"], match.start("text"), tuple(notes)))
    return found
