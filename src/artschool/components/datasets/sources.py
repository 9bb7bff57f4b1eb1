"""Files in a folder, a .zip or a .tar, read in the same way. Nothing is unpacked, so no name can escape the folder."""

from __future__ import annotations

import errno
import os
import posixpath
import stat
import tarfile
import zipfile
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import IO, Any, Protocol

from artschool.components.datasets.finding import endings_of, list_folder, select_names
from artschool.errors import DataError
from artschool.paths import is_dir, is_file

MAX_BYTES = 1 << 30
"""The largest file that is read as a whole. An image of as many pixels as Pillow allows is smaller."""
MAX_LINKS = 5
"""The most links that the remarks on a folder name."""


class FileSource(Protocol):
    """Files by name."""

    @property
    def path(self) -> Path:
        """Path of the folder or archive."""

    @property
    def names(self) -> Sequence[str]:
        """Names of all files, sorted, with `/` between folders."""

    @property
    def notes(self) -> Mapping[str, str]:
        """What is unusual about some names, such as `is a broken link to b.png`."""

    def read(self, name: str) -> bytes:
        """Return the bytes of a file.

        Raises:
            DataError: The file does not exist or cannot be read.
        """


class Folder:
    """The files below a folder."""

    def __init__(self, path: Path) -> None:
        self.path = path
        listing = list_folder(path)
        self.names: Sequence[str] = listing.names
        self.notes: Mapping[str, str] = listing.notes

    def read(self, name: str) -> bytes:
        """Return the bytes of a file."""
        return read_bytes(f"{self.path}/{name}")


class Zip:
    """The files of a .zip."""

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            with zipfile.ZipFile(path) as archive:
                self.names: Sequence[str] = sorted(
                    {entry.filename for entry in archive.infolist() if not entry.is_dir()}
                )
        except zipfile.BadZipFile as error:
            raise DataError(f"{path}: cannot be read as .zip: {error}. Fix: create the archive again") from error
        self.notes: Mapping[str, str] = {}
        self._opened: tuple[int, zipfile.ZipFile] | None = None

    def read(self, name: str) -> bytes:
        """Return the bytes of a file."""
        # Each process opens the archive once: an inherited handle shares its position with the other processes.
        if self._opened is None or self._opened[0] != os.getpid():
            self._opened = (os.getpid(), zipfile.ZipFile(self.path))
        archive = self._opened[1]
        check_size(archive.getinfo(name).file_size, f"{self.path}/{name}")
        try:
            return archive.read(name)
        except (zipfile.BadZipFile, RuntimeError, NotImplementedError) as error:
            raise DataError(f"{self.path}/{name}: cannot be read: {error}. Fix: create the archive again") from error

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_opened": None}


Spans = dict[str, tuple[int, int]]
"""Offset and number of bytes of each file of an archive."""


class Tar:
    """The files of an uncompressed .tar; a compressed one does not allow random access."""

    def __init__(self, path: Path) -> None:
        self.path = path
        with path.open("rb") as file:
            self._spans, self.notes = index_tar(file, str(path))
        self.names = sorted(self._spans)
        self._descriptor: int | None = None

    def read(self, name: str) -> bytes:
        """Return the bytes of a file."""
        if self._descriptor is None:
            self._descriptor = os.open(self.path, os.O_RDONLY)
        offset, size = self._spans[name]
        check_size(size, f"{self.path}/{name}")
        # Reads at an explicit offset, so that processes can share the descriptor.
        data = os.pread(self._descriptor, size, offset)
        if len(data) < size:
            raise DataError(
                f"{self.path}/{name}: file is truncated (expected {size} bytes, got {len(data)}). "
                "Fix: create the archive again"
            )
        return data

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_descriptor": None}

    def __del__(self) -> None:
        if getattr(self, "_descriptor", None) is not None:
            os.close(self._descriptor)  # type: ignore[arg-type]  # not None here


def index_tar(file: IO[bytes], location: str) -> tuple[Spans, dict[str, str]]:
    """Find the files of an uncompressed .tar. Returns their spans, and a note on each link that leads to none of them.

    Raises:
        DataError: It is compressed, contains a sparse file, or is no .tar.
    """
    try:
        with tarfile.open(fileobj=file, mode="r:") as archive:
            entries = list(archive)
    except (tarfile.TarError, MemoryError, OverflowError, ValueError) as error:  # The last three: absurd sizes.
        raise DataError(
            f"{location}: cannot be read as an uncompressed .tar: {error}. Fix: create the archive again, without "
            "compression"
        ) from error
    if sparse := [entry.name for entry in entries if entry.issparse()]:  # The archive lacks the bytes of its holes.
        raise DataError(f"{location}/{sparse[0]}: is stored as a sparse file. Fix: create the archive without --sparse")
    spans = {entry.name: (entry.offset_data, entry.size) for entry in entries if entry.isreg()}
    notes = _add_links(spans, {entry.name: _target(entry) for entry in entries if entry.islnk() or entry.issym()})
    return spans, notes


def _add_links(spans: Spans, links: Mapping[str, str]) -> dict[str, str]:
    """Add the links to files of the archive. Returns a note about each of the others."""
    files = {posixpath.normpath(name): span for name, span in spans.items()}
    targets = {posixpath.normpath(link): target for link, target in links.items()}
    notes = {}
    for link in links:
        target = _end_of(posixpath.normpath(link), targets)
        if target in files:
            spans[link] = files[target]
        else:
            notes[link] = f"is a link to {target}, which is no file of the archive"
    return notes


def _end_of(link: str, targets: Mapping[str, str]) -> str:
    """The first name that is not a link itself; of a circle, one of its links."""
    followed: set[str] = set()
    while link in targets and link not in followed:
        followed.add(link)
        link = targets[link]
    return link


def _target(entry: tarfile.TarInfo) -> str:
    """The name of the entry that a link leads to. Those of hard links are relative to the archive."""
    folder = "" if entry.islnk() else posixpath.dirname(entry.name)
    return posixpath.normpath(posixpath.join(folder, entry.linkname))


def check_size(size: int, location: str) -> None:
    """Look at the size of a file before it is read.

    Raises:
        DataError: It is larger than `MAX_BYTES`.
    """
    if size > MAX_BYTES:
        raise DataError(
            f"{location}: file is too large: {size:,} bytes (limit {MAX_BYTES:,}). Fix: replace the file or remove it"
        )


def read_bytes(file: str) -> bytes:
    """Return the bytes of a file. Its path is text: millions are read, and to make a `Path` of each takes time.

    Raises:
        DataError: The file does not exist, is a folder, a device, a broken link or too large, or may not be read.
        OSError: The machine has no memory or too many open files.
    """
    try:
        status = os.stat(file)  # noqa: PTH116
        check_size(status.st_size, file)
        if not (stat.S_ISREG(status.st_mode) or stat.S_ISDIR(status.st_mode)):  # It may have no end, or no byte ever.
            raise DataError(f"{file}: expected a file, got a device or a pipe. Fix: replace it or remove it")
        with open(file, "rb", buffering=0) as opened:  # noqa: PTH123
            return opened.read()
    except OSError as error:
        if error.errno in (errno.ENOENT, errno.ELOOP):
            path = Path(file)
            found = f"a broken link to {path.readlink()}" if path.is_symlink() else "no file"
            raise DataError(f"{file}: expected a file, got {found}. Fix: restore the file or remove it") from error
        if isinstance(error, IsADirectoryError | PermissionError):
            raise DataError(f"{file}: cannot be read: {error.strerror}. Fix: replace the file or remove it") from error
        raise


def open_files(path: Path, owner: str) -> FileSource:
    """Return the files of a folder, a .zip or a .tar.

    Raises:
        DataError: The path does not exist, has another type, or is damaged.
    """
    if is_dir(path):
        return Folder(path)
    if not is_file(path):
        raise DataError(
            f"{owner}: {path} does not exist (expected a folder, .zip or .tar). Fix: create it or correct the path"
        )
    kinds: dict[str, type[Zip | Tar]] = {".zip": Zip, ".tar": Tar}
    if path.suffix.lower() not in kinds:
        found = f"a {path.suffix} file" if path.suffix else "a file without extension"
        raise DataError(f"{owner}: {path}: expected a folder, .zip or .tar, got {found}. Fix: correct the path")
    return kinds[path.suffix.lower()](path)


def find_files(
    source: FileSource, endings: Collection[str], others: Collection[str], none: str, exclude: Sequence[str] = ()
) -> tuple[list[str], list[str]]:
    """Find the files of a data set.

    Args:
        endings: File extensions to look for, in lower case.
        others: Extensions of files of the same kind that cannot be read.
        none: Start of the error if there is no file, such as `image_folder: no images`.
        exclude: Patterns of file names to leave out.

    Returns:
        Their names, sorted, and remarks on what was passed over although it may have been meant.

    Raises:
        DataError: There is no such file.
    """
    names = select_names(source.names, endings, exclude)
    if not names:
        raise DataError(
            f"{none} in {source.path} (expected {', '.join(endings)}, got {endings_of(source.names)}). "
            "Fix: add some or correct the path"
        )
    selected = set(names)
    links = [f"{source.path}/{name} {note}" for name, note in source.notes.items() if name not in selected]
    remarks = links[:MAX_LINKS]
    if len(links) > MAX_LINKS:
        remarks.append(f"{source.path}: {len(links) - MAX_LINKS} more links lead nowhere, or to a folder read already")
    if passed := select_names(source.names, others, exclude):
        remarks.append(f"{source.path}: passed over {endings_of(passed)} (supported: {', '.join(endings)})")
    return names, remarks
