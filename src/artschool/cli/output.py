"""Output files of commands."""

from __future__ import annotations

from pathlib import Path

from artschool.errors import ConfigError
from artschool.paths import is_dir


def check_output(option: str, output: Path) -> None:
    """Check that an output file can be written, before any work is done.

    Raises:
        ConfigError: Its folder does not exist, or it is a folder itself.
    """
    if not is_dir(output.parent):
        raise ConfigError(f"{option} {output}: folder {output.parent} does not exist")
    if is_dir(output):
        raise ConfigError(f"{option} {output}: is a folder (expected a file)")
