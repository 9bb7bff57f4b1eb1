"""Call a function in a child process, so that its side effects do not remain."""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from tempfile import TemporaryDirectory
from typing import Any, NoReturn, TypeVar

import torch

from artschool.engine.exits import without_exits
from artschool.engine.signals import ENDING
from artschool.errors import ArtschoolError, ResourceError
from artschool.storage.processes import end_with_parent

Value = TypeVar("Value")


def run_in_child_process(function: Callable[[], Value]) -> Value:
    """The result of a function, called in a child process.

    A component may cache a tensor in its module. In this process, it would later find a tensor without values there.

    Raises:
        ArtschoolError: The function raised it.
        ResourceError: The process died.
    """
    with in_child_process(function) as result:
        return result()


@contextmanager
def in_child_process(function: Callable[[], Value]) -> Iterator[Callable[[], Value]]:
    """Call a function in a child process while the body of the `with` statement runs.

    Where processes cannot be forked, or cannot compute gradients afterwards, the function is called in this process,
    before the body.

    Yields:
        A function that waits for the result and returns or raises it, as `run_in_child_process` does.
    """
    if sys.platform != "linux" or torch.cuda.is_initialized():  # type: ignore[no-untyped-call]  # torch
        yield _called(function)
        return
    context = multiprocessing.get_context("fork")
    receiver, sender = context.Pipe(duplex=False)
    with TemporaryDirectory(ignore_cleanup_errors=True) as temporary:
        process = context.Process(target=_answer, args=(os.getpid(), function, sender, temporary))
        process.start()
        sender.close()
        try:
            yield partial(_received, process, receiver) if _is_able(receiver) else _called(function)
        finally:
            process.kill()  # It has sent its result, or nobody needs it any more.
            process.join()


def _called(function: Callable[[], Value]) -> Callable[[], Value]:
    """Call a function. What this returns returns its result, or raises its error."""
    try:
        with without_exits("the trace"):
            result = function()
    except ArtschoolError as error:
        return partial(_raise, error)
    return lambda: result


def _raise(error: ArtschoolError) -> NoReturn:
    raise error


def _is_able(receiver: Connection) -> bool:
    """The first answer of a child process: whether it can compute gradients. Also true if it has died."""
    try:
        return bool(receiver.recv())
    except EOFError:
        return True


def _received(process: BaseProcess, receiver: Connection) -> Any:
    try:
        answer = receiver.recv()
    except EOFError:
        process.join()
        raise ResourceError(
            f"the trace died with exit code {process.exitcode}; if memory ran out, start with --no-trace"
        ) from None
    if isinstance(answer, ArtschoolError):
        raise answer
    return answer


def _answer(parent: int, function: Callable[[], Any], sender: Connection, temporary: str) -> None:
    tempfile.tempdir = temporary  # What it writes there is removed although it is killed.
    for number in ENDING:  # They may reach both processes; the parent ends this one.
        signal.signal(number, signal.SIG_IGN)
    end_with_parent(parent)
    torch.set_num_threads(1)  # The threads of the parent do not exist here.
    try:
        torch.ones((), requires_grad=True).backward()  # type: ignore[no-untyped-call]  # torch
    except RuntimeError:  # The parent has computed gradients with threads of a device.
        sender.send(False)
        return
    sender.send(True)
    try:
        with without_exits("the trace"):
            answer = function()
        sender.send(answer)  # After the block, in which a process that the function has forked ends.
    except ArtschoolError as error:
        sender.send(error)
