"""Call a function in a process of its own, which imports everything again."""

from __future__ import annotations

import multiprocessing
import signal
import sys
from collections.abc import Callable
from multiprocessing.connection import Connection
from typing import TypeVar, cast

from artschool.errors import ArtschoolError, ResourceError

Value = TypeVar("Value")


def call_in_new_process(function: Callable[[], Value]) -> Value:
    """The result of a function that can be pickled. It imports all modules again.

    Raises:
        ArtschoolError: The function raised it.
        ResourceError: The function raised another error, which it has printed, or the process died.
    """
    context = multiprocessing.get_context("spawn")
    receiver, sender = context.Pipe(duplex=False)
    process = context.Process(target=_answer, args=(function, sender))
    process.start()
    sender.close()
    try:
        answer = receiver.recv()
    except EOFError:
        process.join()
        raise ResourceError(f"the training process died with exit code {process.exitcode}") from None
    finally:
        process.kill()  # It has sent its result, or nobody needs it any more.
        process.join()
    if isinstance(answer, ArtschoolError):
        raise answer
    return cast(Value, answer)


def _answer(function: Callable[[], object], sender: Connection) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches both processes; the parent ends this one.
    sys.stdout = sys.stderr  # Networks and data sets may print; standard output is for the results.
    try:
        sender.send(function())
    except ArtschoolError as error:
        sender.send(error)
