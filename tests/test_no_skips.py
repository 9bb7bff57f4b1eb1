"""A skip is a failure where the environment says so."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.no_skips import NO_SKIPS

TESTS = """
import pytest

@pytest.mark.skipif(True, reason="there is no browser")
def test_marked():
    pass

def test_inside():
    pytest.skip("there is no network")

@pytest.mark.xfail(strict=True)
def test_known():
    assert False

def test_passes():
    pass
"""
MODULE = "import pytest; pytest.importorskip('no_such_package')"


def results_of(folder: Path, setting: str) -> tuple[int, list[str]]:
    """The exit code of pytest on a folder, and the lines of its summary."""
    environment = os.environ | {
        "PYTHONPATH": os.pathsep.join(sys.path),
        NO_SKIPS: setting,
        "PYTEST_ADDOPTS": "",
        "COLUMNS": "200",
    }
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-p",
        "tests.no_skips",
        "-p",
        "no:cacheprovider",
        "-rfEs",
        "--tb=no",
        "-q",
    ]
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    return done.returncode, done.stdout.splitlines()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "test_some.py").write_text(TESTS)
    return tmp_path


def test_a_skip_fails_where_nothing_may_be_skipped(folder: Path) -> None:
    code, lines = results_of(folder, "1")
    assert code == 1
    assert "ERROR test_some.py::test_marked - Skipped: there is no browser, but ARTSCHOOL_NO_SKIPS is set" in lines
    assert "FAILED test_some.py::test_inside - Skipped: there is no network, but ARTSCHOOL_NO_SKIPS is set" in lines
    assert lines[-1].startswith("1 failed, 1 passed, 1 xfailed, 1 error")


def test_a_module_that_skips_itself_fails_where_nothing_may_be_skipped(folder: Path) -> None:
    (folder / "test_module.py").write_text(MODULE)
    code, lines = results_of(folder, "1")
    assert code == 2
    assert [line for line in lines if line.startswith("ERROR test_module.py")]


def test_a_skip_is_a_skip_elsewhere(folder: Path) -> None:
    code, lines = results_of(folder, "")
    assert code == 0
    assert lines[-1].startswith("1 passed, 2 skipped, 1 xfailed")
