"""Messages by apprise: mail, chats, telephones."""

from __future__ import annotations

import socket
import sys
from collections.abc import Mapping, Sequence
from typing import Any, Literal

from artschool.components.loggers.background import Background
from artschool.errors import ConfigError, ResourceError, Stopped, describe
from artschool.extras import extra
from artschool.registry import loggers
from artschool.wording.hidden import without_hidden

Event = Literal["end", "fault", "best"]


@loggers.register("apprise")
class AppriseLogger:
    """Send a message when training ends, fails, or has a new best checkpoint.

    Messages are sent from a thread. A server that does not respond costs a warning.

    Args:
        urls: Where to send messages, as URLs of apprise such as `${env:CHAT_URL}`. They contain tokens, so each must
            come from a variable of the environment.
        on: When to send a message. `end`: after the last iteration. `fault`: when an error or a signal ends the
            training, also before a rollback. `best`: when `checkpoint.keep_best` has a new best checkpoint.

    Raises:
        ConfigError: A URL is written in the file, or is none that apprise knows.
        ResourceError: The package is not installed.
    """

    def __init__(self, *, urls: Sequence[str], on: Sequence[Event] = ("end", "fault", "best")) -> None:
        with extra("notify"):
            import apprise
        self._apprise: Any = apprise.Apprise()
        for index, url in enumerate(urls):
            if without_hidden(url) == url:
                fix = "Fix: write `${env:NAME}`, and set the variable NAME"
                raise ConfigError(f"log.loggers: URL {index} of apprise may contain a token. {fix}")
            if not self._apprise.add(url):
                raise ConfigError(f"log.loggers: apprise does not know URL {index}, {without_hidden(url)}")
        self._events = frozenset(on)
        self._thread: Background | None = None
        self._run: Any = None
        self._best: tuple[float, int] | None = None

    def start(self, run: Any) -> None:
        """Remember what is best so far."""
        self._run, self._best = run, run.best
        self._thread = Background("apprise")

    def advance(self, run: Any) -> None:
        """Report a best checkpoint of an earlier iteration."""
        self._report_best(run)

    def log(self, record: Mapping[str, float]) -> None:
        """Do nothing."""

    def close(self) -> None:
        """Report the end, and wait until everything is sent, for some seconds."""
        run, thread = self._run, self._thread
        if run is None or thread is None:
            return
        self._report_best(run)
        error = sys.exc_info()[1]
        where = f"{run.iteration} of {run.iterations} iterations"
        if error is not None:
            problem = str(error) if isinstance(error, Stopped) else f"{where}: {_in_words(error)}"
            self._send("fault", "stopped", problem)
        elif run.is_finished:
            numbers = ", ".join(f"{name} {value:.4g}" for name, value in run.last_evaluation.items())
            self._send("end", "finished", f"{where}{f': {numbers}' if numbers else ''}")
        self._run = self._thread = None
        thread.close()

    def _report_best(self, run: Any) -> None:
        if run.best != self._best:
            self._best = run.best
            value, number = run.best
            metric = run.sections.checkpoint.keep_best.metric
            self._send("best", "new best", f"{metric} {value:.4g} after {number} iterations")

    def _send(self, event: Event, title: str, text: str) -> None:
        if event in self._events and self._thread is not None:
            name = f"{self._run.sections.name}: {title}"
            body = without_hidden(f"{text}\n{self._run.folder} on {socket.gethostname()}")
            self._thread.call(self._notify, name, body)

    def _notify(self, title: str, body: str) -> None:
        if not self._apprise.notify(title=title, body=body):
            raise ResourceError("a message could not be sent")


def _in_words(error: BaseException) -> str:
    return describe(error).splitlines()[0]
