"""Where the files in a run folder come from, so that they can be used from any working folder."""

from __future__ import annotations

import json
import os
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from artschool.paths import exists, read_file

RUN_FILE = "run.json"
CONFIG_FILE = "config.yml"
RESOLVED_FILE = "resolved.yml"


@dataclass(frozen=True)
class Origin:
    """How a run was started.

    Attributes:
        file: The config file, to whose folder `base`, `from` and plugins are relative.
        folder: The working folder, to which all other paths are relative.
        overrides: The overrides of the command line, which `config.yml` does not contain.
    """

    file: Path
    folder: Path
    overrides: tuple[str, ...] = ()

    def text(self, run_folder: Path) -> str:
        """The content of `run.json`. The path of the run folder helps to find files that are moved together with it."""
        paths = {"file": self.file, "folder": self.folder, "run": run_folder.resolve()}
        return json.dumps({name: str(path) for name, path in paths.items()} | {"overrides": self.overrides}, indent=2)


def start_of(file: Path, overrides: tuple[str, ...]) -> Origin:
    """How a run starts from a file now. For a file in a run folder, as that run was started, with further overrides."""
    known = origin_of(file) or Origin(file.resolve(), Path.cwd())
    given = [*known.overrides, *overrides]
    paths = [override.partition("=")[0] for override in given]
    latest = (override for index, override in enumerate(given) if paths[index] not in paths[index + 1 :])
    return Origin(known.file, known.folder, tuple(latest))


def origin_of(file: Path) -> Origin | None:
    """The origin of a file that a run has written into its folder. None: any other file."""
    if file.name not in (CONFIG_FILE, RESOLVED_FILE, RUN_FILE):
        return None
    return read_origin(file.parent)


def written_text(file: Path) -> str:
    """The text of the file as the user has written it: for the resolved one of a run folder, that of the other one.

    If the other one is missing or damaged, that of the resolved file, which has the same meaning.
    """
    if file.name == RESOLVED_FILE and origin_of(file) is not None:
        with suppress(OSError, UnicodeDecodeError, yaml.YAMLError):
            text = _text(file.with_name(CONFIG_FILE))
            yaml.compose(text, Loader=yaml.CSafeLoader)
            return text
    return _text(file)


def _text(file: Path) -> str:
    return file.read_text(encoding="utf-8") if origin_of(file) is None else read_file(file).decode()


def recorded_overrides(file: Path) -> tuple[Path, tuple[str, ...]]:
    """The overrides with which a run used the text of its `config.yml`, and the file that records them."""
    origin = origin_of(file) if file.name == CONFIG_FILE else None
    return file.with_name(RUN_FILE), origin.overrides if origin is not None else ()


def read_origin(run_folder: Path) -> Origin | None:
    """What `run.json` says. None: the folder is not that of a run, or that of an earlier version."""
    try:
        found: Any = json.loads(read_file(run_folder / RUN_FILE))
        file, folder, run = (Path(found[name]) for name in ("file", "folder", "run"))
        overrides = tuple(map(str, found["overrides"]))
    except (OSError, ValueError, TypeError, KeyError, RecursionError):
        return None
    return Origin(_found(file, run, run_folder), _found(folder, run, run_folder), overrides)


def _found(path: Path, recorded: Path, run_folder: Path) -> Path:
    """A path, or the one that has the same place relative to the run folder if both have been moved together."""
    moved = run_folder.resolve() / os.path.relpath(path, recorded)
    return Path(os.path.normpath(moved)) if not exists(path) and exists(moved) else path
