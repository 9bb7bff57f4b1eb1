"""Output files of commands."""

from __future__ import annotations

from pathlib import Path

from artschool.errors import ConfigError
from artschool.paths import exists, is_dir, is_file


def check_output(option: str, output: Path) -> None:
    """Check that an output file can be written, before any work is done.

    Raises:
        ConfigError: Its folder does not exist, or it is a folder or a device itself, which a new file would replace.
    """
    if not is_dir(output.parent):
        raise ConfigError(f"{option} {output}: folder {output.parent} does not exist")
    if is_dir(output):
        raise ConfigError(f"{option} {output}: is a folder (expected a file)")
    # /dev/stdout is a link, to a file if the shell redirects the output.
    if (exists(output) and not is_file(output)) or str(output.absolute().parent) == "/dev":
        raise ConfigError(f"{option} {output}: is a device or a pipe (expected a file)")
