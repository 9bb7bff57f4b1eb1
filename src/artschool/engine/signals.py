"""What the signals of this process ask for: to end at once, or between two iterations, where the state is whole.

Imports torch only for several processes and for training, as every command handles signals.
"""

from __future__ import annotations

import signal
import socket
import sys
import threading
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager, nullcontext, suppress
from enum import Enum, auto
from types import FrameType
from typing import Any, TypeVar

from artschool import waits

Item = TypeVar("Item")
_END: Any = object()

ENDING = (
    signal.SIGINT,
    signal.SIGTERM,
    signal.SIGHUP,
    signal.SIGQUIT,
    signal.SIGUSR1,
    signal.SIGUSR2,
    signal.SIGXCPU,
)
"""The signals that end a run: Ctrl-C, and those of batch systems, terminals and limits."""
PATIENCE_S = 5.0
"""Seconds for which a wait for data continues after a signal."""
REMINDER_S = 1.0
"""Seconds between two attempts to end a process that is to end at once."""
TWICE = "Ctrl-C twice: stopped without a save. To resume from the newest checkpoint, run the same command again"


class Interrupted(KeyboardInterrupt):
    """A signal ends what this process does. All code that lets Ctrl-C through lets it through.

    Attributes:
        number: The signal.
        is_agreed: Whether all processes raise it at the same point.
    """

    def __init__(self, number: int, *, is_agreed: bool = False) -> None:
        super().__init__(f"{name_of(number)}: stopped; no training is lost")
        self.number = number
        self.is_agreed = is_agreed

    @property
    def exit_code(self) -> int:
        """The exit code of a command that this ends."""
        return exit_code_of(self.number)


def name_of(number: int) -> str:
    """`SIGTERM`, or `Ctrl-C`."""
    return "Ctrl-C" if number == signal.SIGINT else signal.Signals(number).name


def exit_code_of(number: int) -> int:
    """130 after Ctrl-C. 143 after every other signal, so that a batch system can look for one code to start again."""
    return 130 if number == signal.SIGINT else 143


class _State(Enum):
    """The effect of a signal. `interruptible` turns NOTING into WAITING and back; an error turns RAISING into OVER."""

    RAISING = auto()  # It raises Interrupted at once.
    NOTING = auto()  # It is noted, for `until_signal`.
    WAITING = auto()  # The same, but the main thread waits for data and its state is whole: a reminder ends the wait.
    OVER = auto()  # Nothing, as an error ends the command, which a signal must not hide. Only Ctrl-C is heard.


class _Handler:
    """Handles the signals.

    Attributes:
        state: What the first signal does.
        here: The first signal that has arrived in this process. 0: none has.
        elsewhere: The one that another process has heard. It does not count as the first of two Ctrl-C.
        wakeup: Receives the numbers of signals at once, even while the main thread is in a call of C.
        received: The first signal that `wakeup` has received.
    """

    def __init__(self, state: _State, here: int = 0) -> None:
        self.state = state
        self.here = here
        self.elsewhere = 0
        self.wakeup: socket.socket | None = None
        self.received = 0

    def __call__(self, number: int, frame: FrameType | None) -> None:
        """Handle a signal. A second Ctrl-C raises KeyboardInterrupt at once; other repetitions change nothing."""
        waits.end_soon()
        if number == signal.SIGINT and (self.state is _State.OVER or self.here == signal.SIGINT):
            raise KeyboardInterrupt(TWICE)
        if self.here or self.state is _State.OVER:
            return
        if not self.elsewhere:  # Else they have started. torchrun sends SIGTERM when the first process has ended.
            self.start_reminders()
        self.here = number
        if self.state is _State.RAISING:
            raise Interrupted(number)

    def start_reminders(self) -> None:
        """Call `remind` until the process ends."""
        signal.setitimer(signal.ITIMER_REAL, REMINDER_S if self.state is _State.RAISING else PATIENCE_S, REMINDER_S)

    def remind(self, number: int, frame: FrameType | None) -> None:
        """End a wait for data that has lasted too long after a signal, or what has swallowed Interrupted.

        Finalizers, hooks of a fork and imports swallow exceptions. One that is being handled is on its way out.
        """
        is_swallowed = self.state is _State.RAISING and sys.exc_info()[0] is None
        if self.pending and (is_swallowed or self.state is _State.WAITING):
            raise Interrupted(self.pending)

    @property
    def pending(self) -> int:
        """The signal that ends what this process does. 0: none does."""
        return self.here or self.elsewhere


_handler = _Handler(_State.NOTING)
"""That of the process, as it has one process group. Without `interrupting` and `noting`, it hears nothing."""


@contextmanager
def interrupting() -> Iterator[None]:
    """Raise Interrupted when a signal arrives. An error that this causes, such as in an import, becomes Interrupted.

    After an error in one of several processes, no signal but Ctrl-C is heard any more: see `ignore_others`.
    """
    handler = _Handler(_State.RAISING)
    with _handled_by(handler):
        try:
            yield
        except BaseException as error:
            ranks = sys.modules.get("artschool.ranks")  # Not imported: this process is alone.
            if ranks is not None and ranks.world_size() > 1:
                ignore_others()
            if handler.here and isinstance(error, Exception) and not isinstance(error.__cause__, Interrupted):
                raise Interrupted(handler.here) from error
            raise


@contextmanager
def ending_at_once() -> Iterator[None]:
    """Let a signal end the process in a long call of C, which no handler interrupts. Nothing may be lost by that."""
    found = {number: signal.getsignal(number) for number in ENDING} if _is_main_thread() else {}
    handled = {number: function for number, function in found.items() if callable(function)}
    for number in handled:
        signal.signal(number, signal.SIG_DFL)
    try:
        yield
    finally:
        for number, function in handled.items():
            signal.signal(number, function)


@contextmanager
def noting() -> Iterator[None]:
    """Note the signals, for `until_signal`. One that `interrupting` has heard in vain is noted too."""
    here, _handler.here = _handler.here, 0
    handler = _Handler(_State.NOTING, here)
    with _handled_by(handler), _woken_up(handler) if _is_main_thread() else nullcontext():
        yield


@contextmanager
def _woken_up(handler: _Handler) -> Iterator[None]:
    """Fill `handler.wakeup`."""
    handler.wakeup, writer = socket.socketpair()
    with handler.wakeup, writer:
        handler.wakeup.setblocking(False)
        writer.setblocking(False)
        before = signal.set_wakeup_fd(writer.fileno(), warn_on_full_buffer=False)
        try:
            yield
        finally:
            signal.set_wakeup_fd(before)


def noted() -> int:
    """The first signal that has arrived in `noting`, here or in a process of which `note` knows. 0: none has."""
    return _handler.pending


def arrived() -> int:
    """The first signal that has arrived in this process. 0: none has. One other thread may call this.

    The main thread may not have noted it: it does so when a call of C returns, such as a wait for other processes.
    """
    handler = _handler
    if handler.wakeup is not None and not handler.received:
        with suppress(BlockingIOError):
            handler.received = next((number for number in handler.wakeup.recv(4096) if number in ENDING), 0)
    return handler.here or handler.received


def note(number: int) -> None:
    """Note a signal that another process has heard, as if it had arrived here. Another thread may call this."""
    handler = _handler
    if not handler.pending:
        waits.end_soon()
        handler.elsewhere = number
        if signal.getsignal(signal.SIGALRM) == handler.remind:
            handler.start_reminders()


def ignore_others() -> None:
    """Hear no signal but Ctrl-C from now on: the process ends, and its exit code says why.

    The launcher ends all processes when the first one has ended.
    """
    if _is_main_thread():
        for number in ENDING:
            if number != signal.SIGINT:
                signal.signal(number, signal.SIG_IGN)


@contextmanager
def _handled_by(handler: _Handler) -> Iterator[None]:
    global _handler  # noqa: PLW0603  # global, like the signals of a process
    before, _handler = _handler, handler
    # A program that is to outlive its terminal is started with SIGHUP ignored, as by nohup.
    numbers = [n for n in ENDING if n != signal.SIGHUP or signal.getsignal(n) != signal.SIG_IGN]
    functions: dict[signal.Signals, Callable[[int, FrameType | None], None]] = dict.fromkeys(numbers, handler)
    functions[signal.SIGALRM] = handler.remind
    original = {number: signal.signal(number, new) for number, new in functions.items()} if _is_main_thread() else {}
    if original and handler.here:
        handler.start_reminders()
    try:
        yield
    except BaseException:
        if before.state is _State.RAISING:
            before.state = _State.OVER
        raise
    finally:
        _handler = before
        if original:
            signal.setitimer(signal.ITIMER_REAL, 0)
        for number, function in original.items():
            if function is not None and signal.getsignal(number) != signal.SIG_IGN:  # Not after `ignore_others`.
                signal.signal(number, function)


def _is_main_thread() -> bool:
    return threading.current_thread() is threading.main_thread()


class interruptible:  # noqa: N801  # called like a function; a generator would take longer
    """A wait for data while the last finished iteration can be saved. Soon after a signal, it raises Interrupted."""

    __slots__ = ("_handler",)

    def __enter__(self) -> None:
        self._handler = _handler
        if self._handler.state is _State.NOTING and _is_main_thread():
            self._handler.state = _State.WAITING

    def __exit__(self, *error: object) -> None:
        if self._handler.state is _State.WAITING:
            self._handler.state = _State.NOTING


def waited(items: Iterator[Item]) -> Generator[Item]:
    """The items, each of which is waited for in `interruptible`."""
    while True:
        with interruptible():
            item = next(items, _END)
        if item is _END:
            return
        yield item


def until_signal(items: Iterator[Item], rounds: int) -> Generator[Item]:
    """The items, until a signal has arrived in any process.

    All processes stop after equally many. They compare their signals when an item arrives, and read the result when the
    next one is asked for, so that nobody waits.

    Args:
        rounds: Number of items that the process with the most items has. Another one may have fewer.

    Raises:
        Interrupted: A signal has arrived.
    """
    from artschool import ranks

    for _ in range(rounds):
        item = next(items, _END)
        heard = ranks.largest_soon(noted)
        if item is not _END:
            yield item
        if number := heard():
            raise Interrupted(number, is_agreed=True)
    next(items, _END)  # So that it ends, and is not closed: a loader then keeps its workers.
