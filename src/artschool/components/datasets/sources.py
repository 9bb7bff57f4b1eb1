"""Files in a folder, a .zip or a .tar, read in the same way. Nothing is unpacked, so no name can escape the folder."""

from __future__ import annotations

import fnmatch
import os
import tarfile
import zipfile
from collections.abc import Collection, Sequence
from pathlib import Path, PurePosixPath
from typing import Any, Protocol

from artschool.errors import DataError


class FileSource(Protocol):
    """Files by name."""

    @property
    def path(self) -> Path:
        """Path of the folder or archive."""

    @property
    def names(self) -> Sequence[str]:
        """Names of all files, sorted, with `/` between folders."""

    def read(self, name: str) -> bytes:
        """Return the bytes of a file.

        Raises:
            OSError: The file cannot be read.
        """


class Folder:
    """The files below a folder."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.names: Sequence[str] = sorted(file.relative_to(path).as_posix() for file in path.rglob("*"))

    def read(self, name: str) -> bytes:
        """Return the bytes of a file."""
        return (self.path / name).read_bytes()


class Zip:
    """The files of a .zip."""

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            with zipfile.ZipFile(path) as archive:
                self.names: Sequence[str] = sorted(entry.filename for entry in archive.infolist() if not entry.is_dir())
        except zipfile.BadZipFile as error:
            raise DataError(f"{path}: cannot be read as .zip: {error}. Fix: create the archive again") from error
        self._opened: tuple[int, zipfile.ZipFile] | None = None

    def read(self, name: str) -> bytes:
        """Return the bytes of a file."""
        # Each process opens the archive once: an inherited handle shares its position with the other processes.
        if self._opened is None or self._opened[0] != os.getpid():
            self._opened = (os.getpid(), zipfile.ZipFile(self.path))
        try:
            return self._opened[1].read(name)
        except (zipfile.BadZipFile, RuntimeError, NotImplementedError) as error:
            raise DataError(f"{self.path}/{name}: cannot be read: {error}. Fix: create the archive again") from error

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_opened": None}


class Tar:
    """The files of an uncompressed .tar; a compressed one does not allow random access."""

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            with tarfile.open(path, "r:") as archive:
                self._spans = {entry.name: (entry.offset_data, entry.size) for entry in archive if entry.isreg()}
        except tarfile.TarError as error:
            raise DataError(
                f"{path}: cannot be read as an uncompressed .tar: {error}. Fix: create the archive without compression"
            ) from error
        self.names = sorted(self._spans)
        self._descriptor: int | None = None

    def read(self, name: str) -> bytes:
        """Return the bytes of a file."""
        if self._descriptor is None:
            self._descriptor = os.open(self.path, os.O_RDONLY)
        offset, size = self._spans[name]
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


def open_files(path: Path, owner: str) -> FileSource:
    """Return the files of a folder, a .zip or a .tar.

    Raises:
        DataError: The path does not exist, has another type, or is damaged.
    """
    if path.is_dir():
        return Folder(path)
    if not path.is_file():
        raise DataError(
            f"{owner}: {path} does not exist (expected a folder, .zip or .tar). Fix: create it or correct the path"
        )
    kinds: dict[str, type[Zip | Tar]] = {".zip": Zip, ".tar": Tar}
    if path.suffix.lower() not in kinds:
        found = f"a {path.suffix} file" if path.suffix else "a file without extension"
        raise DataError(f"{owner}: {path}: expected a folder, .zip or .tar, got {found}. Fix: correct the path")
    return kinds[path.suffix.lower()](path)


def select_names(names: Sequence[str], endings: Collection[str], exclude: Sequence[str] = ()) -> list[str]:
    """Return the names with one of these extensions whose last part matches no pattern of `exclude`, in their order."""
    return [name for name in names if _fits(PurePosixPath(name), endings, exclude)]


def _fits(name: PurePosixPath, endings: Collection[str], exclude: Sequence[str]) -> bool:
    if name.suffix.lower() not in endings or name.name.startswith("."):
        return False
    return not any(fnmatch.fnmatch(name.name, pattern) for pattern in exclude)
