"""The files of a .tar on another machine, read in blocks that a local cache keeps."""

from __future__ import annotations

import io
import json
import time

from artschool.components.datasets.block_cache import BlockCache
from artschool.components.datasets.remote import RangeReader, RemoteFile, shown
from artschool.components.datasets.sources import Spans, check_size, index_tar

BLOCK = 4 * 2**20
"""Bytes of a block: enough that a request is worth its latency."""
HEADERS = 2**20
"""Bytes that are read at a time to find the headers. Large files in between are skipped."""
CHECK_SECONDS = 60.0
"""Seconds for which a file is taken to be the same version: asking takes as long as fetching a small block."""


class RemoteTar:
    """The files of an uncompressed .tar.

    Its index is made once, by reading the headers, and is kept in the cache, too. Names, blocks and index belong to one
    version of the file, so that a file that is replaced is read again.

    Args:
        url: The URL of the .tar.
        cache: Keeps the index and the blocks.

    Attributes:
        path: The URL without credentials, for messages.
        names: Names of all files, sorted.
    """

    def __init__(self, url: str, cache: BlockCache) -> None:
        self.path = shown(url)
        self._file, self._cache = RemoteFile(url), cache
        self._key = "\0".join((url, str(self._file.size), self._file.version))
        self._checked_at = time.monotonic()
        index = json.loads(cache.read(f"{self._key}\0index", 0, None, self._index))
        self._spans: Spans = {name: (offset, size) for name, offset, size in index}
        self.names = sorted(self._spans)

    def _index(self) -> bytes:
        with io.BufferedReader(RangeReader(self._file), HEADERS) as reader:
            spans, _ = index_tar(reader, self.path)
        return json.dumps([(name, *span) for name, span in spans.items()]).encode()

    def read(self, name: str) -> bytes:
        """Return the bytes of a file.

        Raises:
            DataError: The file cannot be read, after several tries, or the archive has been replaced.
        """
        offset, size = self._spans[name]
        check_size(size, f"{self.path}/{name}")
        first, stop = offset // BLOCK, -(-(offset + size) // BLOCK)
        return b"".join(self._part(number, offset, offset + size) for number in range(first, stop if size else first))

    def _part(self, number: int, start: int, stop: int) -> bytes:
        """The bytes of the range that are in a block."""
        begin = number * BLOCK
        key, end = f"{self._key}\0{BLOCK}\0{number}", min(begin + BLOCK, self._file.size)
        return self._cache.read(key, max(start - begin, 0), min(stop, end) - begin, lambda: self._fetch(begin, end))

    def _fetch(self, begin: int, end: int) -> bytes:
        if time.monotonic() - self._checked_at > CHECK_SECONDS:
            self._file.check_version()
            self._checked_at = time.monotonic()
        return self._file.read(begin, end)
