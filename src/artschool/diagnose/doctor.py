"""Looks for what is wrong with a machine and a run folder: `artschool doctor`."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

from artschool.diagnose import machine
from artschool.diagnose.finding import Finding
from artschool.diagnose.run_folder import RunFolder

MACHINE: tuple[Callable[[], Iterator[Finding]], ...] = (
    machine.versions,
    machine.devices,
    machine.shared_memory,
    machine.open_files,
    machine.clock,
)


def doctor(folder: Path | None) -> list[Finding]:
    """The findings of all checks of this machine, and of a run folder or else of the working folder.

    Nothing is changed. A check that raises an exception is a finding, too.
    """
    checks = [*MACHINE, *(RunFolder(folder).checks() if folder is not None else [machine.working_folder])]
    return [finding for check in checks for finding in _findings(check)]


def _findings(check: Callable[[], Iterator[Finding]]) -> Iterator[Finding]:
    try:
        yield from check()
    except Exception as error:  # The other checks may say why.
        name = check.__name__.replace("_", " ")
        yield Finding(name, f"cannot be checked: {type(error).__name__}: {error}", "see the other findings")
