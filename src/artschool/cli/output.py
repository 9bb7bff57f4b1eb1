"""A file that a command is told to write."""

from __future__ import annotations

from pathlib import Path

from artschool.errors import ConfigError


def refuse_nowhere(option: str, output: Path) -> None:
    """Before any work: whether the place of a file can be there at all.

    Raises:
        ConfigError: It has no folder, or is one.
    """
    if not output.parent.is_dir():
        raise ConfigError(f"{option} {output}: there is no folder {output.parent}")
    if output.is_dir():
        raise ConfigError(f"{option} {output}: is a folder; name a file in it")
