"""A server of files on this machine, with failures, and a file system for fsspec that reads from it."""

from __future__ import annotations

import hashlib
import threading
import urllib.request
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.error import HTTPError

from fsspec.spec import AbstractFileSystem


class FileServer(ThreadingHTTPServer):
    """Serves the files of a folder, by range.

    Attributes:
        folder: The folder.
        fetched: Number of bytes sent of each file.
        sends_ranges: Whether it sends the range that is asked for. Otherwise it sends the whole file.
        failures: What happens to the next requests: a status, `cut` for half of the body that is announced, or `short`
            for half of what was asked.
    """

    daemon_threads = True

    def __init__(self, folder: Path) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.folder, self.failures = folder, list[int | str]()
        self.fetched: Counter[str] = Counter()
        self.sends_ranges = True

    def url(self, protocol: str) -> str:
        """The URL of the folder."""
        return f"{protocol}://127.0.0.1:{self.server_port}"


class _Handler(BaseHTTPRequestHandler):
    server: FileServer
    protocol_version = "HTTP/1.1"

    def do_HEAD(self) -> None:
        self._answer(body=False)

    def do_GET(self) -> None:
        self._answer(body=True)

    def _answer(self, body: bool) -> None:
        failure = self.server.failures.pop(0) if self.server.failures else None
        file = self.server.folder / self.path.partition("?")[0].lstrip("/")
        if isinstance(failure, int) or not file.is_file():
            self.send_response(failure if isinstance(failure, int) else 404)
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        whole = file.read_bytes()
        first, last = 0, len(whole) - 1
        if (asked := self.headers.get("Range") if self.server.sends_ranges else None) is not None:
            first, last = (int(end) for end in asked.removeprefix("bytes=").split("-"))
        data = whole[first : last + 1]
        data = data[: len(data) // 2] if failure == "short" else data
        self.send_response(206 if asked else 200)
        self.send_header("Content-Length", str(len(data)))
        self.send_header("ETag", f'"{hashlib.md5(whole).hexdigest()}"')
        self.end_headers()
        if body:
            data = data[: len(data) // 2] if failure == "cut" else data
            self.server.fetched[file.name] += len(data)  # First: the client may go on as soon as it has them.
            self.wfile.write(data)
            self.close_connection = failure == "cut"

    def log_message(self, *args: object) -> None:
        pass


@contextmanager
def serving(folder: Path) -> Iterator[FileServer]:
    server = FileServer(folder)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


class Loopback(AbstractFileSystem):  # type: ignore[misc]  # fsspec has no types
    """HTTP by Python's own client, for machines without aiohttp."""

    protocol = "loopback"

    @classmethod
    def _strip_protocol(cls, path: str) -> str:
        return path

    def info(self, path: str, **kwargs: Any) -> dict[str, Any]:
        with self._open_url(path, method="HEAD") as answer:
            return {"name": path, "size": int(answer.headers["Content-Length"]), "ETag": answer.headers["ETag"]}

    def cat_file(self, path: str, start: int = 0, end: int = 0, **kwargs: Any) -> bytes:
        with self._open_url(path, headers={"Range": f"bytes={start}-{end - 1}"}) as answer:
            data: bytes = answer.read()
        return data

    @staticmethod
    def _open_url(path: str, **options: Any) -> Any:
        request = urllib.request.Request(path.replace("loopback://", "http://"), **options)
        try:
            return urllib.request.urlopen(request, timeout=5)
        except HTTPError as error:
            with error:
                if error.code == 404:
                    raise FileNotFoundError(path) from None
                refused = OSError(f"{error.code} for {path}")
                refused.status = error.code  # type: ignore[attr-defined]  # as aiohttp's
                raise refused from None
