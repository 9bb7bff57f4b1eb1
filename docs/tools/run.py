"""Run the commands of a page in a folder of its own."""

from __future__ import annotations

import contextlib
import difflib
import io
import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from unittest import mock

from docs.tools.pages import ROOT, Block, Command, blocks

WIDTH = "120"


@contextlib.contextmanager
def folder_for_a_page(folder: Path) -> Iterator[Path]:
    """Work in a folder that has the recipes, as a checkout has."""
    shutil.copytree(ROOT / "recipes", folder / "recipes", dirs_exist_ok=True)
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    with contextlib.chdir(folder), mock.patch.dict(os.environ, {"COLUMNS": WIDTH, "PATH": path}):
        yield folder


def prepare(block: Block, *, set_up: bool = True) -> None:
    """Write the file that a block is and those that it needs, and run its set-up commands unless told otherwise."""
    for word, text in block.notes:
        if word == "file":
            Path(text).write_text(block.text)
        elif word == "needs":
            page, name = text.split()
            others = blocks((ROOT / "docs" / page).read_text())
            Path(name).write_text(next(other.text for other in others if other.note("file") == name))
        elif word == "append":
            with Path(text).open("a") as file:
                file.write(block.text)
        elif word == "setup" and set_up:
            for line in text.splitlines():
                _set_up(line)


def _set_up(line: str) -> None:
    if line.startswith("artschool "):
        _artschool(shlex.split(line)[1:])
    else:
        subprocess.run(["bash", "-euc", line], check=True)


def run(command: Command) -> list[str]:
    """The lines that a command prints, to either stream."""
    words = shlex.split(command.line)
    text = _artschool(words[1:]) if words[0] == "artschool" else _shell(command.line)
    return text.rstrip("\n").split("\n") if text.strip() else []


def _artschool(arguments: list[str]) -> str:
    """Run a command of artschool in this process, which has imported torch already."""
    from artschool.cli.main import main

    printed = io.StringIO()
    with (
        contextlib.redirect_stdout(printed),
        contextlib.redirect_stderr(printed),
        mock.patch.object(sys, "argv", ["artschool", *arguments]),
        contextlib.suppress(SystemExit),
    ):
        main()
    return printed.getvalue()


def _shell(line: str) -> str:
    done = subprocess.run(
        ["bash", "-c", line], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False
    )
    return done.stdout


def fits(shown: list[str], printed: list[str], *, numbers: bool = True) -> bool:
    """Whether output is what a page shows; a line `...` of the page stands for any lines.

    Args:
        shown: The lines of the page.
        printed: The lines of the command.
        numbers: Whether numbers have to be the same.
    """

    def pattern(line: str) -> str:
        text = re.escape(line)
        return text if numbers else re.sub(r"\d+(?:(?:,|\\\.)\d+)*(?:e(?:\\[-+])?\d+)?", r"[\\d.,e+-]+", text)

    lines = [r"(?:.*\n)*?" if line.strip() == "..." else pattern(line) + r"[ ]*\n" for line in shown]
    return re.fullmatch("".join(lines), "".join(f"{line}\n" for line in printed)) is not None


def updated(shown: list[str], printed: list[str]) -> list[str]:
    """The lines that a page should show: all of them, or as many around each `...` as it has now.

    After the last `...`, these are all from the line that begins there now.
    """
    gaps = [index for index, line in enumerate(shown) if line.strip() == "..."]
    if not gaps:
        return printed
    bounds = [-1, *gaps, len(shown)]
    *segments, last = [shown[start + 1 : end] for start, end in pairwise(bounds)]
    result: list[str] = []
    position = 0
    for index, segment in enumerate(segments):
        if index:
            position = _nearest(segment, printed, position, position)
        result += [*printed[position : position + len(segment)], shown[gaps[index]]]
        position += len(segment)
    if last:
        result += printed[_nearest(last[:1], printed, position, max(position, len(printed) - len(last))) :]
    return result


def _nearest(segment: list[str], printed: list[str], start: int, expected: int) -> int:
    """The place where a few lines are found again, though their words may have changed. Of equal ones, the nearest."""

    def likeness(place: int) -> tuple[float, int]:
        found = "\n".join(printed[place : place + len(segment)])
        return difflib.SequenceMatcher(None, "\n".join(segment), found).ratio(), -abs(place - expected)

    places = range(start, max(start + 1, len(printed) - len(segment) + 1))
    return max(places, key=likeness)
