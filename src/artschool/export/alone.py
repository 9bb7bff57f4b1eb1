"""Runs the program of an exported folder where only the packages that it may need can be imported."""

from __future__ import annotations

import importlib.metadata
import re
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from artschool.export.program import CannotExportError

_RUN = """
import runpy, sys
hidden = {hidden!r}
class Hiding:
    def __init__(self, finder):
        self.finder = finder
    def find_spec(self, name, *more):
        return None if name.partition(".")[0] in hidden else self.finder.find_spec(name, *more)
    def __getattr__(self, name):
        return getattr(self.finder, name)
sys.meta_path[:] = map(Hiding, sys.meta_path)
sys.argv = {arguments!r}
runpy.run_path(sys.argv[0], run_name="__main__")
"""


def run_alone(folder: Path, packages: Sequence[str]) -> float:
    """Run `inference.py` of a folder in a new process, which compares the network with its example.

    Args:
        packages: What can be imported besides Python's own modules, together with what it requires.

    Returns:
        The largest difference.

    Raises:
        CannotExportError: It fails, or the difference is too large.
    """
    code = _RUN.format(hidden=_modules_besides(packages), arguments=[str(folder / "inference.py")])
    # -I ignores variables and folders of the user; -W: torch warns that numpy is missing.
    command = [sys.executable, "-I", "-B", "-W", "ignore", "-c", code]
    result = subprocess.run(command, capture_output=True, text=True, check=False, cwd=folder)
    match = re.search(r"largest difference.*: (\S+)$", result.stdout.strip())
    if match is None:
        raise CannotExportError((result.stderr.strip() or "inference.py printed nothing").splitlines()[-1])
    if result.returncode != 0:
        raise CannotExportError(f"its outputs differ by {match[1]}")
    return float(match[1])


def _modules_besides(packages: Sequence[str]) -> set[str]:
    """artschool, and the installed modules that are not those of some packages and of what they require."""
    waiting, seen = list(packages), set[str]()
    while waiting:
        name = _canonical(waiting.pop())
        if name in seen:
            continue
        seen.add(name)
        try:
            required = importlib.metadata.requires(name) or []
        except importlib.metadata.PackageNotFoundError:
            continue
        waiting += [re.split(r"[^\w.-]", each, maxsplit=1)[0] for each in required if "extra ==" not in each]
    found = importlib.metadata.packages_distributions()
    others = {module for module, owners in found.items() if not seen & {_canonical(owner) for owner in owners}}
    return {"artschool", *others} - {"_distutils_hack"}


def _canonical(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()
