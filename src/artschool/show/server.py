"""Serves the page on the loopback interface. Reads the folders of runs, and nothing else; changes nothing."""

from __future__ import annotations

import hashlib
import sys
import threading
import time
from collections.abc import Callable, Sequence
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, quote, urlsplit

from artschool.errors import ResourceError
from artschool.paths import is_dir, read_file
from artschool.show.data import DRAWINGS, page_data
from artschool.show.folder import RunFolder, find_runs
from artschool.show.media import TYPES, media
from artschool.show.page import PLOTLY, SVG, as_json, live_page, plotly_code

LOOPBACK = "127.0.0.1"
HOSTS = (LOOPBACK, "localhost", "[::1]")
"""The names by which a browser may ask, with any port, since a tunnel has one of its own. No site can have them."""
EVERY_S = 1.0
"""Least number of seconds between two looks at the folders."""


class Server(ThreadingHTTPServer):
    """A server of the page. `serve_forever` answers until `shutdown`.

    Args:
        folders: Run folders, and folders with runs. New runs in them appear on the page.
        port: The port. 0: a free one.

    Raises:
        ConfigError: A folder does not exist.
        ResourceError: The port is in use, or the library that draws curves is not installed.
    """

    daemon_threads = True

    def __init__(self, folders: Sequence[Path], port: int = 0) -> None:
        self._folders = list(folders)
        self.runs = {run.name: run for run in find_runs(self._folders)}
        self.library = plotly_code().encode()
        self._data: tuple[float, dict[str, Any]] = (0.0, {})
        self._shown: dict[Path, tuple[float, set[str]]] = {}
        self._lock = threading.Lock()
        try:
            super().__init__((LOOPBACK, port), _Handler)
        except OSError as error:
            raise ResourceError(f"port {port}: {error.strerror}. Fix: choose another one with --port") from error

    @property
    def address(self) -> str:
        """The address of the page."""
        return f"http://{LOOPBACK}:{self.server_address[1]}/"

    def data(self) -> dict[str, Any]:
        """What the page shows now."""
        with self._lock:
            taken, data = self._data
            if not data or time.monotonic() - taken >= EVERY_S:
                known = {run.folder for run in self.runs.values()}
                for run in find_runs([path for path in self._folders if is_dir(path)]):
                    if run.folder not in known:
                        self.runs.setdefault(run.name, run)
                shown = [run for run in self.runs.values() if is_dir(run.folder)]
                data = page_data(shown, _link)
                self._data = time.monotonic(), data
            return data

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing about a browser that has gone away, such as from a page that was still loading."""
        if not isinstance(sys.exception(), ConnectionError | TimeoutError):
            super().handle_error(request, client_address)

    def file(self, run: str, path: str) -> tuple[bytes, str] | None:
        """A file that the page shows, and its type. None: the page does not show it."""
        found = self.runs.get(run)
        if found is None:
            return None
        file = found.folder / path
        # A file or a folder may have become a link since the look.
        if path not in self._files_of(found.folder) or file.resolve() != found.folder.resolve() / path:
            return None
        try:
            return read_file(file), TYPES.get(file.suffix.lower(), SVG)
        except OSError:
            return None

    def _files_of(self, folder: Path) -> set[str]:
        """What the page shows of a run folder. A browser asks for all of its files at once, after one look at it."""
        with self._lock:
            taken, shown = self._shown.get(folder, (-EVERY_S, set()))
            if time.monotonic() - taken >= EVERY_S:
                shown = {name for files in media(folder).values() for name in files.values()} | {*DRAWINGS.values()}
                self._shown[folder] = time.monotonic(), shown
            return shown


def _link(run: RunFolder, path: str) -> str:
    return f"file?run={quote(run.name, safe='')}&path={quote(path, safe='')}"


class _Handler(BaseHTTPRequestHandler):
    server: Server
    server_version, sys_version = "artschool", ""
    timeout = 30

    def do_GET(self) -> None:
        """Answer with the page, its data, its library or a file of a run."""
        host = self.headers.get("Host", "").rpartition(":")
        if (host[0] if host[2].isdecimal() else host[0] + host[1] + host[2]).lower() not in HOSTS:
            self._send(HTTPStatus.FORBIDDEN, b"expected a loopback address as Host\n", "text/plain")
            return
        url = urlsplit(self.path)
        answers: dict[str, Callable[[], tuple[bytes, str] | None]] = {
            "/": lambda: (live_page(self.server.data()).encode(), "text/html; charset=utf-8"),
            "/data": lambda: (as_json(self.server.data()).encode(), "application/json"),
            f"/{PLOTLY}": lambda: (self.server.library, "text/javascript; charset=utf-8"),
            "/file": lambda: self._file(parse_qs(url.query)),
        }
        found = answers[url.path]() if url.path in answers else None
        if found is None:
            self._send(HTTPStatus.NOT_FOUND, b"not found\n", "text/plain")
        else:
            self._send(HTTPStatus.OK, *found)

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing about a request."""

    def _file(self, query: dict[str, list[str]]) -> tuple[bytes, str] | None:
        return self.server.file(query.get("run", [""])[0], query.get("path", [""])[0])

    def _send(self, status: HTTPStatus, content: bytes, kind: str) -> None:
        tag = f'"{hashlib.sha256(content).hexdigest()[:32]}"'
        if status == HTTPStatus.OK and self.headers.get("If-None-Match") == tag:
            status, content = HTTPStatus.NOT_MODIFIED, b""
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(content)))
        self.send_header("ETag", tag)
        self.send_header("Cache-Control", "no-cache")
        self.send_header("X-Content-Type-Options", "nosniff")
        self.send_header("Cross-Origin-Resource-Policy", "same-origin")
        self.send_header("X-Frame-Options", "DENY")
        if kind == SVG:
            self.send_header("Content-Security-Policy", "default-src 'none'; style-src 'unsafe-inline'; sandbox")
        self.end_headers()
        self.wfile.write(content)
