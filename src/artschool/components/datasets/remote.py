"""Files on other machines, read by range through fsspec: found, retried, and named without credentials."""

from __future__ import annotations

import io
import random
import re
import time
from collections.abc import Callable, Mapping
from itertools import product
from typing import Any, TypeVar

from artschool.errors import DataError, ResourceError

Value = TypeVar("Value")
WAITS = (0.5, 1.0, 2.0)
"""Seconds before each further try."""
MISSING = (404, 410)
"""Statuses of HTTP of a file that is not there."""
DENIED = (401, 403, 407)
"""Statuses of HTTP that better credentials change."""
BUSY = (408, 425, 429)
"""Statuses of HTTP that another try may change; those from 500 on may as well."""
VERSIONS = ("ETag", "etag", "generation", "Content-MD5", "Last-Modified", "LastModified", "updated", "mtime", "created")
"""What file systems report that changes with the content of a file, the surest first."""
_REMOTE = re.compile(r"[a-z][a-z0-9+.-]*://", re.IGNORECASE)
_SECRETS = re.compile(r"(?P<host>[a-z][a-z0-9+.-]*://)[^/\s@]*@", re.IGNORECASE), re.compile(r"\?[^\s'\")]*")
_BRACES = re.compile(r"\{([^{}]*)\}")


def is_remote(path: str) -> bool:
    """Whether a path has a protocol, such as `s3://`."""
    return _REMOTE.match(path) is not None


def shown(url: str) -> str:
    """The URL, or a text with URLs, without passwords and without queries, which may be signatures."""
    for secret in _SECRETS:
        url = secret.sub(lambda found: found["host"] if "host" in found.re.groupindex else "?...", url)
    return url


def expanded(pattern: str) -> list[str]:
    """The texts that a pattern with braces means: `{00..11}` counts, `{a,b}` lists."""
    parts = _BRACES.split(pattern)
    choices = [_choices(part) if number % 2 else [part] for number, part in enumerate(parts)]
    return ["".join(choice) for choice in product(*choices)]


def _choices(inner: str) -> list[str]:
    if counted := re.fullmatch(r"(\d+)\.\.(\d+)", inner):
        first, last = counted.groups()
        width = len(first) if first.startswith("0") else 0
        return [f"{number:0{width}d}" for number in range(int(first), int(last) + 1)]
    return inner.split(",") if "," in inner else ["{" + inner + "}"]


def find_remote(pattern: str) -> list[str]:
    """The URLs that a pattern means. `*` and `[...]` need a file system that lists files; braces do not."""
    urls = []
    for url in expanded(pattern):
        if "*" in url or "[" in url:
            urls += sorted(_at(url, lambda files, path: [files.unstrip_protocol(one) for one in files.glob(path)]))
        else:
            urls.append(url)
    return urls


class RemoteFile:
    """A file that does not change.

    Attributes:
        url: The URL, which may contain credentials.
        size: Number of bytes.
        version: What the file system reports of this version of the file; empty if it reports nothing.
    """

    def __init__(self, url: str) -> None:
        self.url = url
        self.size, self.version = self._state()

    def read(self, start: int, stop: int) -> bytes:
        """Return a range of bytes.

        Raises:
            DataError: The file cannot be read, after several tries.
            ResourceError: A package for the protocol is not installed.
        """
        return _at(self.url, lambda files, path: self._range(files, path, start, stop))

    def check_version(self) -> None:
        """Verify that the file is still the one whose size and version are known.

        Raises:
            DataError: It is another one, or cannot be read.
        """
        found = self._state()
        if found != (self.size, self.version):
            raise DataError(
                f"{shown(self.url)}: expected the file of the start of the run ({self.size} bytes, {self.version}), "
                f"got another one ({found[0]} bytes, {found[1]}). Fix: start the run again, which reads the new file"
            )

    def _range(self, files: Any, path: str, start: int, stop: int) -> bytes:
        data: bytes = files.cat_file(path, start=start, end=stop) if stop > start else b""
        if len(data) > stop - start:  # Another try would fetch all of it again.
            raise DataError(
                f"{shown(self.url)}: the server sends {len(data)} bytes in place of {stop - start} from {start}. "
                "Fix: use a server that sends ranges of files, or copy the files to this machine"
            )
        if len(data) != stop - start:
            raise OSError(f"expected {stop - start} bytes from {start}, got {len(data)}")
        return data

    def _state(self) -> tuple[int, str]:
        info: Mapping[str, Any] = _at(self.url, lambda files, path: files.info(path))
        if not isinstance(info.get("size"), int) or info.get("type") == "directory":
            raise DataError(f"{shown(self.url)}: expected a file of known size, got {info.get('type', 'none')}")
        version = next((f"{name} {info[name]}" for name in VERSIONS if info.get(name)), "")
        return info["size"], version


class RangeReader(io.RawIOBase):
    """A file object that reads ranges of a remote file."""

    def __init__(self, file: RemoteFile) -> None:
        self._file, self._position = file, 0

    def readable(self) -> bool:
        """Return true."""
        return True

    def seekable(self) -> bool:
        """Return true."""
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Move to an offset."""
        self._position = offset + {io.SEEK_SET: 0, io.SEEK_CUR: self._position, io.SEEK_END: self._file.size}[whence]
        return self._position

    def tell(self) -> int:
        """Return the offset."""
        return self._position

    def readinto(self, buffer: Any) -> int:
        """Read into a buffer; less at the end of the file."""
        stop = max(self._position, min(self._position + len(buffer), self._file.size))
        data = self._file.read(self._position, stop)
        buffer[: len(data)] = data
        self._position += len(data)
        return len(data)


def _at(url: str, action: Callable[[Any, str], Value]) -> Value:
    """Call a function with the file system of a URL and the path there. Network errors are retried."""
    # A library that waits for a random time must not change what a data set draws next.
    state = random.getstate()
    try:
        return _patiently(url, lambda: action(*_file_system(url)))
    finally:
        random.setstate(state)


def _patiently(url: str, action: Callable[[], Value]) -> Value:
    for seconds in (*WAITS, None):
        try:
            return action()
        except Exception as raised:  # Each file system has exceptions of its own.
            error = _failure(url, raised)
            if (final := _final(url, error)) is not None:
                raise final from None
            if seconds is None:
                problem = shown(str(error).strip()) or type(error).__name__
                fix = "Fix: check the network and the server, then start the run again; it resumes"
                raise DataError(f"{shown(url)}: cannot be read in {len(WAITS) + 1} tries: {problem}. {fix}") from None
            time.sleep(seconds)
    raise AssertionError


def _failure(url: str, error: Exception) -> Exception:
    """What has failed. The file system for HTTP calls a file missing, whatever it was that kept it from finding it."""
    cause, hides = error.__cause__, _is_http(url) and isinstance(error, FileNotFoundError)
    return cause if hides and isinstance(cause, Exception) else error


def _is_http(url: str) -> bool:
    return url.lower().startswith("http")


def _final(url: str, error: Exception) -> Exception | None:
    """What to raise for an error that another try would not change."""
    name, problem = shown(url), shown(str(error))
    if isinstance(error, DataError):
        return error
    if isinstance(error, FileNotFoundError) or getattr(error, "status", None) in MISSING:
        return DataError(f"{name}: expected a file, got none. Fix: correct `path`")
    if isinstance(error, ImportError):
        fix = (
            "pip install 'artschool[remote]'"
            if _is_http(url)
            else "install the package that fsspec needs for this protocol"
        )
        return ResourceError(f"{name}: cannot be read without another package: {problem}. Fix: {fix}")
    if (refused := _refusal(error)) is not None:
        return DataError(f"{name}: {refused[0]}: {problem}. Fix: {refused[1]}")
    if isinstance(error, ValueError | NotImplementedError):
        return DataError(f"{name}: cannot be read: {problem}. Fix: correct `path`")
    return None


def _refusal(error: Exception) -> tuple[str, str] | None:
    """What a server refuses, and how to mend it. None: another try may succeed."""
    status = getattr(error, "status", None)
    if status in DENIED or isinstance(error, PermissionError):
        return "access is denied", "check the credentials of fsspec"
    if isinstance(status, int) and 400 <= status < 500 and status not in BUSY:
        fix = (
            "check that the server sends ranges of files, then start the run again, which reads files that have changed"
        )
        return "the server refuses to send it", fix
    return None


def _file_system(url: str) -> tuple[Any, str]:
    from fsspec.core import url_to_fs

    files, path = url_to_fs(url)  # fsspec keeps one for each process and thread.
    return files, path
