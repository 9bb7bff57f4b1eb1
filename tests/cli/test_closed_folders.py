"""Paths in a folder that is closed to the user: what is wrong with which path, and no traceback."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.reports.small import SUPER_RESOLUTION, artschool, write_images

pytestmark = pytest.mark.usefixtures("registries")

FILES = {
    "f.yml": SUPER_RESOLUTION,
    "plugin.yml": SUPER_RESOLUTION + "plugins: [closed/plugin.py]\n",
    "base.yml": "base: closed/f.yml\n",
    "from.yml": SUPER_RESOLUTION.replace("type: edsr, scale: 2, width: 8, blocks: 1", "from: closed/f.yml"),
}


@pytest.fixture(scope="module")
def folder() -> Iterator[Path]:
    """A working folder with `closed`, a finished run, and the files above. Other users can enter it, as they can not
    enter those of pytest."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        before = Path.cwd()
        os.chdir(folder)
        try:
            write_images(folder / "pics", 4)
            write_images(folder / "held", 2)
            (folder / "closed").mkdir()
            for file, text in FILES.items():
                Path(file).write_text(text)
            Path("closed/f.yml").write_text(SUPER_RESOLUTION)
            Path("closed/plugin.py").write_text("")
            code, printed = artschool("train", "f.yml", "--no-trace", "--run-dir", "closed/run")
            assert code == 0, printed
            folder.chmod(0o777)
            yield folder
        finally:
            os.chdir(before)


@contextmanager
def without_rights(closed: Path) -> Iterator[None]:
    """The administrator may enter every folder, so be somebody else."""
    is_root = os.geteuid() == 0
    closed.chmod(0o700 if is_root else 0)
    if is_root:
        os.seteuid(54321)
    try:
        yield
    finally:
        if is_root:
            os.seteuid(0)
        closed.chmod(0o700)


def test_runs_beside_a_closed_folder_are_listed(folder: Path) -> None:
    with tempfile.TemporaryDirectory() as name:
        runs = Path(name)
        runs.chmod(0o777)
        shutil.copytree(folder / "closed" / "run", runs / "b")
        (runs / "a").mkdir()
        artschool("runs", str(runs))  # Imports the command, whose files others may not be able to read.
        with without_rights(runs / "a"):
            code, text = artschool("runs", str(runs))
    assert code == 0 and "b    finished" in text, text


DENIED = ": Permission denied. Fix: ask its owner for access, or name another path"
IN_ITS_PLACE = "cannot be read: Permission denied\n"


@pytest.mark.parametrize(
    ("arguments", "code", "printed"),
    [
        ("check plugin.yml", 2, f"closed/plugin.py {IN_ITS_PLACE}"),
        ("check base.yml", 2, f"base.yml:1:7: base: file closed/f.yml {IN_ITS_PLACE}"),
        ("check from.yml", 2, f"from.yml:7:15: networks.gen.from: file closed/f.yml {IN_ITS_PLACE}"),
        ("train f.yml --no-trace --run-dir closed/new", 5, f"closed/new/run.json{DENIED}"),
        ("train f.yml --no-trace --run-dir closed/run", 5, f"closed/run/run.json{DENIED}"),
        ("eval f.yml --checkpoint closed/run/checkpoints/00000004", 5, f"closed/run/checkpoints/00000004{DENIED}"),
        ("doctor closed/run", 5, f"closed/run/config.yml{DENIED}"),
    ],
)  # fmt: skip
def test_a_closed_folder(folder: Path, arguments: str, code: int, printed: str) -> None:
    artschool(*arguments.split())  # Imports what it needs, which may be closed to others, too.
    with without_rights(folder / "closed"):
        got, text = artschool(*arguments.split())
    assert (got, printed in text, "Traceback" in text) == (code, True, False), text
