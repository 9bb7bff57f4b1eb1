"""Messages, to a server of this machine."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

import artschool
from artschool.engine.run import Run
from artschool.errors import ConfigError, Stopped
from tests.engine import toy_run
from tests.engine.toy_run import StopAfter

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")  # Those of apprise's own imports.
BEST = "checkpoint.keep_best={metric: held_out/psnr, mode: max}"


class Server(HTTPServer):
    """Keeps the messages that it gets."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.messages: list[tuple[str, str]] = []
        self.status = 200


class _Handler(BaseHTTPRequestHandler):
    server: Server

    def do_POST(self) -> None:
        message: dict[str, Any] = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.server.messages.append((message["title"], message["message"]))
        self.send_response(self.server.status)
        self.end_headers()

    def log_message(self, format: str, *args: Any) -> None:
        """Print nothing."""


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    pytest.importorskip("apprise")
    server = Server()
    monkeypatch.setenv("CHAT_URL", f"json://user:secretword@127.0.0.1:{server.server_port}/")
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


def load(folder: Path, *overrides: str, on: str = "[end, fault, best]", console: Console | None = None) -> Run:
    folder.mkdir(exist_ok=True)
    file = toy_run.write(folder, "evaluate.held_out.every=2", *overrides)
    entry = f"{{type: apprise, urls: ['${{env:CHAT_URL}}'], on: {on}}}"
    return artschool.load(file, [f"log.loggers={{notify: {entry}}}"], run_dir=folder / "run", console=console)


def test_the_end_and_new_bests_are_reported(tmp_path: Path, server: Server) -> None:
    run = load(tmp_path, BEST, "train.iterations=4")
    run.train()
    titles = [title for title, _ in server.messages]
    assert titles[0] == "toy: new best" and titles[-1] == "toy: finished" and titles.count("toy: finished") == 1
    assert run.best is not None
    bests = [text for title, text in server.messages if title == "toy: new best"]
    assert bests[-1].startswith(f"held_out/psnr {run.best[0]:.4g} after {run.best[1]} iterations")
    last = server.messages[-1][1]
    assert last.startswith(f"4 of 4 iterations: held_out/psnr {run.last_evaluation['held_out/psnr']:.4g}")
    assert str(tmp_path / "run") in last


def test_a_signal_and_an_error_are_reported(tmp_path: Path, server: Server) -> None:
    run = load(tmp_path, on="[fault]")
    run.loggers = [*run.loggers, StopAfter(3)]
    with pytest.raises(Stopped):
        run.train()
    run = load(tmp_path / "other", "data.train.fail_at=5", on="[fault]")
    with pytest.raises(Exception, match="cannot decode"):
        run.train()
    (stopped, failed) = server.messages
    assert stopped[0] == failed[0] == "toy: stopped"
    assert "SIGTERM: stopped after iteration" in stopped[1]
    assert "cannot decode" in failed[1] and "of 20 iterations: " in failed[1]


def test_only_the_chosen_events_are_reported(tmp_path: Path, server: Server) -> None:
    load(tmp_path, BEST, "train.iterations=2", on="[fault]").train()
    assert server.messages == []


def test_a_server_that_refuses_costs_a_warning_without_the_token(
    tmp_path: Path, server: Server, capsys: pytest.CaptureFixture[str]
) -> None:
    server.status = 500
    run = load(tmp_path, "train.iterations=1", console=Console(width=400))
    run.train()
    output = capsys.readouterr()
    assert "warning: AppriseLogger failed in 'close'" in output.out
    assert "secretword" not in output.out + output.err
    files = [file for file in (tmp_path / "run").iterdir() if file.is_file()]
    assert files and not [file for file in files if b"secretword" in file.read_bytes()]


def test_a_url_in_the_file_is_refused_and_not_shown(tmp_path: Path, server: Server) -> None:
    with pytest.raises(ConfigError, match=r"URL 0 of apprise may contain a token\. Fix: write") as error:
        toy_run.load(tmp_path, "log.loggers={notify: {type: apprise, urls: ['json://other:password@127.0.0.1']}}")
    assert "password" not in str(error.value)


def test_an_unknown_url_is_an_error(tmp_path: Path, server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CHAT_URL", "nothing://secretword")
    with pytest.raises(ConfigError, match="apprise does not know URL 0") as error:
        load(tmp_path)
    assert "secretword" not in str(error.value)
