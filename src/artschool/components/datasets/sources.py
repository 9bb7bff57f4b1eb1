"""Where files lie: in a folder, a .zip or a .tar, all read alike. Nothing is unpacked, so no name can lead outside."""

from __future__ import annotations

import fnmatch
import os
import tarfile
import zipfile
from collections.abc import Collection, Sequence
from pathlib import Path, PurePosixPath
from typing import Any, Protocol

from artschool.errors import DataError


class Source(Protocol):
    """Files by name."""

    @property
    def path(self) -> Path:
        """Where they lie."""

    @property
    def names(self) -> Sequence[str]:
        """All of them, sorted, with `/` between folders."""

    def read(self, name: str) -> bytes:
        """The bytes of a file.

        Raises:
            OSError: It cannot be read.
        """


class Folder:
    """The files below a folder."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.names: Sequence[str] = sorted(file.relative_to(path).as_posix() for file in path.rglob("*"))

    def read(self, name: str) -> bytes:
        """The bytes of a file."""
        return (self.path / name).read_bytes()


class Zip:
    """The files of a .zip."""

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            with zipfile.ZipFile(path) as archive:
                self.names: Sequence[str] = sorted(entry.filename for entry in archive.infolist() if not entry.is_dir())
        except zipfile.BadZipFile as error:
            raise DataError(f"{path}: {error}") from error
        self._opened: tuple[int, zipfile.ZipFile] | None = None

    def read(self, name: str) -> bytes:
        """The bytes of a file."""
        # Each process opens it once: what a worker inherits shares its position with the others.
        if self._opened is None or self._opened[0] != os.getpid():
            self._opened = (os.getpid(), zipfile.ZipFile(self.path))
        try:
            return self._opened[1].read(name)
        except (zipfile.BadZipFile, RuntimeError, NotImplementedError) as error:
            raise DataError(f"{self.path}: {name}: {error}") from error

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_opened": None}


class Tar:
    """The files of an uncompressed .tar: a compressed one cannot be read at a place in its middle."""

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            with tarfile.open(path, "r:") as archive:
                self._places = {entry.name: (entry.offset_data, entry.size) for entry in archive if entry.isreg()}
        except tarfile.TarError as error:
            raise DataError(f"{path}: {error}; a compressed .tar has to be written anew without compression") from error
        self.names = sorted(self._places)
        self._descriptor: int | None = None

    def read(self, name: str) -> bytes:
        """The bytes of a file."""
        if self._descriptor is None:
            self._descriptor = os.open(self.path, os.O_RDONLY)
        offset, size = self._places[name]
        # At an offset of its own, so that processes can share what is open.
        data = os.pread(self._descriptor, size, offset)
        if len(data) < size:
            raise DataError(f"{self.path}: {name} is cut short: {len(data)} of {size} bytes")
        return data

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_descriptor": None}

    def __del__(self) -> None:
        if getattr(self, "_descriptor", None) is not None:
            os.close(self._descriptor)  # type: ignore[arg-type]  # not None here


def open_source(path: Path, owner: str) -> Source:
    """The files of a folder, a .zip or a .tar.

    Raises:
        DataError: There is no such thing, or it is damaged.
    """
    if path.is_dir():
        return Folder(path)
    if not path.is_file():
        raise DataError(f"{owner}: there is no folder {path}")
    kinds: dict[str, type[Zip | Tar]] = {".zip": Zip, ".tar": Tar}
    if path.suffix.lower() not in kinds:
        raise DataError(f"{owner}: {path} is neither a folder nor a .zip nor a .tar")
    return kinds[path.suffix.lower()](path)


def chosen(names: Sequence[str], endings: Collection[str], exclude: Sequence[str] = ()) -> list[str]:
    """The names with one of these endings whose last part matches no pattern of `exclude`, in their order."""
    return [name for name in names if _fits(PurePosixPath(name), endings, exclude)]


def _fits(name: PurePosixPath, endings: Collection[str], exclude: Sequence[str]) -> bool:
    if name.suffix.lower() not in endings or name.name.startswith("."):
        return False
    return not any(fnmatch.fnmatch(name.name, pattern) for pattern in exclude)
