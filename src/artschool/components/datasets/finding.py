"""Which files belong to a data set. Every data set that takes folders or archives finds its files here."""

from __future__ import annotations

import fnmatch
import os
from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from artschool.errors import DataError
from artschool.wording.counting import counted

SYSTEM_NAMES = frozenset({"thumbs.db", "desktop.ini", "ehthumbs.db", "__macosx", "$recycle.bin", "@eadir"})
"""Files and folders that operating systems leave beside the data, in lower case."""
MAX_KINDS = 6
"""The most endings that an error lists."""


def is_hidden(name: str) -> bool:
    """Whether a file is passed over: a part of its path starts with a dot or has one of `SYSTEM_NAMES`.

    Args:
        name: Path with `/` between folders, relative to the folder or archive of the data set.
    """
    return any(
        (part.startswith(".") and part not in (".", "..")) or part.lower() in SYSTEM_NAMES for part in name.split("/")
    )


@dataclass
class Listing:
    """What is below a folder.

    Attributes:
        names: Paths relative to the folder, with `/` between folders, of all files and folders that are not hidden.
        notes: What is unusual about some of them, by name: links that lead nowhere, or to a folder that is listed.
    """

    names: list[str] = field(default_factory=list)
    notes: dict[str, str] = field(default_factory=dict)


def list_folder(root: Path) -> Listing:
    """List a folder recursively. Links are followed, and every folder is listed once, whatever leads to it.

    Folders inside come before links to folders, so that a folder keeps its own name. The order is that of the names,
    on every file system.

    Raises:
        DataError: A folder cannot be listed.
    """
    found, visited, starts = Listing(), set[str](), [""]
    while starts:
        links: list[str] = []
        for start in sorted(starts):
            if os.path.realpath(root / start) in visited:
                found.notes[start] = "is a link to a folder that is read already"
            else:
                links += _walk(root, start, visited, found)
        starts = links
    found.names.sort()
    return found


def _walk(root: Path, start: str, visited: set[str], found: Listing) -> list[str]:
    """Add what is below one folder, without following links to folders. Returns these links."""
    links: list[str] = []
    folders = [start]
    while folders:
        folder = folders.pop()
        here = os.path.realpath(root / folder)
        if here in visited:
            continue
        visited.add(here)
        for entry in _entries(root / folder):
            name = f"{folder}/{entry.name}" if folder else entry.name
            found.names.append(name)
            if not entry.is_symlink():
                folders += [name] if entry.is_dir() else []
            elif os.path.isdir(entry.path):  # noqa: PTH112  # False, unlike `entry.is_dir`, for a link to itself
                links.append(name)
            elif not os.path.exists(entry.path):  # noqa: PTH110  # one link of perhaps millions
                found.notes[name] = f"is a broken link to {Path(entry.path).readlink()}"
    return links


def _entries(folder: Path) -> list[os.DirEntry[str]]:
    try:
        with os.scandir(folder) as entries:
            return [entry for entry in entries if not is_hidden(entry.name)]
    except OSError as error:
        raise DataError(f"{folder}: cannot be listed: {error.strerror}. Fix: correct its permissions") from error


def select_names(names: Iterable[str], endings: Collection[str], exclude: Sequence[str] = ()) -> list[str]:
    """Return the visible names with one of these endings, in their order.

    Args:
        endings: File extensions in lower case, with their dot. Case does not matter.
        exclude: Patterns of file names (without folders) to leave out.
    """
    return [name for name in names if _fits(PurePosixPath(name), endings, exclude)]


def _fits(name: PurePosixPath, endings: Collection[str], exclude: Sequence[str]) -> bool:
    if name.suffix.lower() not in endings or is_hidden(str(name)):
        return False
    return not any(fnmatch.fnmatch(name.name, pattern) for pattern in exclude)


def endings_of(names: Iterable[str]) -> str:
    """Describe files by their endings, for an error: `12 files: 9 .tif, 3 .gif`."""
    counts = Counter(PurePosixPath(name).suffix.lower() or "without ending" for name in names if not is_hidden(name))
    if not counts:
        return "no files"
    kinds = [f"{count} {kind}" for kind, count in counts.most_common(MAX_KINDS)]
    more = ["..."] if len(counts) > MAX_KINDS else []
    return f"{counted(counts.total(), 'file')}: {', '.join(kinds + more)}"
