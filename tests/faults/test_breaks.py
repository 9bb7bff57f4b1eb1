"""Each promise of `docs/reliability.md` has a test that fails once the code is broken: see `breaks.txt`."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
COPIED = ("src", "tests", "docs", "examples", "recipes", "pyproject.toml")
FAILED = 1
"""The exit code of pytest if tests ran and one failed. Tests that cannot be collected give another one."""


@dataclass(frozen=True)
class Break:
    """A change of the source after which the test of a promise fails."""

    promise: str
    test: str
    old: str
    new: str

    def files(self, root: Path) -> list[Path]:
        """The files of the package that have the part that changes."""
        return [file for file in sorted(root.glob("src/**/*.py")) if self.old in _text(file)]


def read_breaks() -> list[Break]:
    """All cases of `breaks.txt`."""
    return [_parsed(block) for block in Path(__file__).with_name("breaks.txt").read_text().split("\n== ")[1:]]


def _parsed(block: str) -> Break:
    promise, test, *lines = block.strip("\n").splitlines()
    old, new = ("\n".join(line[1:] for line in lines if line[:1] == mark) for mark in "-+")
    return Break(promise, test, old, new)


@cache
def _text(file: Path) -> str:
    return file.read_text()


def promises() -> dict[str, str]:
    """The files of tests that the page names for each promise. `the same` means those of the row above."""
    rows = re.findall(r"^\| (.+?) \| (.+?) \|$", (ROOT / "docs" / "reliability.md").read_text(), re.MULTILINE)
    found: dict[str, str] = {}
    files = ""
    for promise, tested in rows:
        if promise not in ("Promise", "---"):
            named = re.findall(r"`(tests/\S+)`", tested)
            files = " ".join([files, *named] if "the same" in tested else named)
            found[promise] = files
    return found


BREAKS = read_breaks()


def test_each_promise_has_a_test_and_a_change_that_breaks_it() -> None:
    tested = promises()
    assert [each.promise for each in BREAKS] == [*tested]
    for each in BREAKS:
        file, _, name = each.test.partition("[")[0].partition("::")
        assert file in tested[each.promise], each.promise
        assert f"\ndef {name}(" in (ROOT / file).read_text(), each.test
        assert [_text(path).count(each.old) for path in each.files(ROOT)] == [1], each.promise
    named = {file for files in tested.values() for file in files.split()}
    assert not [file for file in named if not (ROOT / file).is_file()]


@pytest.fixture(scope="module")
def copy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the repository that may be broken."""
    folder = tmp_path_factory.mktemp("broken")
    for name in COPIED:
        source = ROOT / name
        if source.is_dir():
            shutil.copytree(source, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copyfile(source, folder / name)
    return folder


@pytest.fixture
def broken(copy: Path, request: pytest.FixtureRequest) -> Iterator[Break]:
    """A break, made in the copy."""
    chosen: Break = request.param
    (file,) = chosen.files(copy)
    whole = file.read_text()
    file.write_text(whole.replace(chosen.old, chosen.new))
    yield chosen
    file.write_text(whole)


@pytest.mark.soak
@pytest.mark.parametrize("broken", BREAKS, indirect=True, ids=lambda each: each.promise)
def test_the_test_of_a_promise_fails_when_the_code_is_broken(copy: Path, broken: Break) -> None:
    """In `make soak`: each starts pytest, and some start trainings."""
    result = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", "-m", "", broken.test],
        cwd=copy,
        env={**os.environ, "PYTHONPATH": str(copy / "src")},
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    assert result.returncode == FAILED, result.stdout + result.stderr
