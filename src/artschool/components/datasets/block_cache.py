"""A folder of blocks of bytes, shared by processes, of limited size: the least recently used block is deleted first."""

from __future__ import annotations

import fcntl
import os
import re
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from hashlib import blake2b
from pathlib import Path

from artschool.storage.durable import make_folder, split_temporary, temporary_path, translate_disk_errors

CHECKSUM_BYTES = 4
KEPT = 0.95
"""The fraction of the limit that is left when blocks are deleted, so that not every new block looks for old ones."""
_BLOCK = re.compile(r"[0-9a-f]{30}\.block")


@dataclass
class BlockCache:
    """Blocks by key. Damaged blocks are made again, and files that are no blocks are left alone.

    A block is a file of its bytes and their checksum. It appears complete or not at all. Its time of modification is
    that of its last use. The file `size` holds the bytes of all blocks, or more, and is locked while this changes.

    Attributes:
        folder: Folder of the blocks, on a local disk.
        limit: Largest number of bytes of all blocks.
    """

    folder: Path
    limit: int
    _intact: set[str] = field(default_factory=set, repr=False)

    def read(self, key: str, start: int, stop: int | None, make: Callable[[], bytes]) -> bytes:
        """Return the bytes `start` to `stop` of a block. Of several processes that need a new block, one makes it.

        Args:
            stop: End, exclusive. None: that of the block.
            make: Returns the block.

        Raises:
            ResourceError: The disk is full or cannot be written.
        """
        name = blake2b(key.encode(errors="surrogateescape"), digest_size=16).hexdigest()
        file = self.folder / name[:2] / f"{name[2:]}.block"
        found = self._read(file, start, stop)
        if found is None:
            make_folder(file.parent)
            with _locked(file.parent / "lock"):
                found = self._read(file, start, stop)
                if found is None:
                    block = make()
                    self._add(file, block)
                    found = block[start:stop]
        return found

    def _read(self, file: Path, start: int, stop: int | None) -> bytes | None:
        """The bytes, if the block is there and intact. This process verifies a block once."""
        try:
            descriptor = os.open(file, os.O_RDONLY)
        except (FileNotFoundError, NotADirectoryError):
            return None
        try:
            length = os.fstat(descriptor).st_size - CHECKSUM_BYTES
            if str(file) not in self._intact:
                block = os.pread(descriptor, length + CHECKSUM_BYTES, 0)
                if length < 0 or _checksum(block[:length]) != block[length:]:
                    return None
                self._intact.add(str(file))
            stop = length if stop is None else stop
            found = os.pread(descriptor, stop - start, start)
            with suppress(OSError):
                os.utime(descriptor)
            return found if stop <= length and len(found) == stop - start else None
        finally:
            os.close(descriptor)

    def _add(self, file: Path, block: bytes) -> None:
        length = len(block) + CHECKSUM_BYTES
        if length > self.limit:
            return
        with _locked(self.folder / "size") as descriptor, translate_disk_errors(file, length):
            # The size is written first: if the process dies in between, the folder is smaller than it says.
            os.pwrite(descriptor, f"{self._size_with(length, descriptor):<20}".encode(), 0)
            temporary = temporary_path(file, "tmp")
            temporary.write_bytes(block + _checksum(block))
            temporary.replace(file)

    def _size_with(self, length: int, descriptor: int) -> int:
        """The bytes of all blocks with a new one, after deleting old ones where it does not fit."""
        with suppress(ValueError):
            size = int(os.pread(descriptor, 20, 0)) + length
            if length <= size <= self.limit:
                return size
        return self._shrink(self.limit - length) + length

    def _shrink(self, limit: int) -> int:
        """Delete the least recently used blocks if there are more bytes than the limit. Returns what is left."""
        blocks = []
        folders = [entry for entry in os.scandir(self.folder) if entry.is_dir()]
        for entry in (entry for folder in folders for entry in os.scandir(folder)):
            if entry.is_file(follow_symlinks=False) and _BLOCK.fullmatch(entry.name):
                with suppress(FileNotFoundError):
                    status = entry.stat(follow_symlinks=False)
                    blocks.append((status.st_mtime_ns, status.st_size, entry.path))
            elif (split := split_temporary(Path(entry.path))) and _BLOCK.fullmatch(split[1]):
                Path(entry.path).unlink(missing_ok=True)  # Of a process that died: this one has the lock.
        size = sum(length for _, length, _ in blocks)
        kept = limit if size <= limit else KEPT * limit
        for _, length, path in sorted(blocks):
            if size <= kept:
                break
            Path(path).unlink(missing_ok=True)
            size -= length
        return size


def _checksum(block: bytes) -> bytes:
    return zlib.crc32(block).to_bytes(CHECKSUM_BYTES, "little")


@contextmanager
def _locked(path: Path) -> Iterator[int]:
    """Hold the lock on a file, which is created if it is missing. Yields its descriptor."""
    with translate_disk_errors(path, 0):
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
    try:
        with suppress(OSError):  # A file system without locks: blocks may be made twice.
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield descriptor
    finally:
        os.close(descriptor)
