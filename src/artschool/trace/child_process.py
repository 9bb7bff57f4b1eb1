"""Call a function in a process of its own, so that nothing of what it did stays."""

from __future__ import annotations

import multiprocessing
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from typing import Any, TypeVar, cast

import torch

from artschool.errors import ArtschoolError, ResourceError

Value = TypeVar("Value")


def run_in_child_process(function: Callable[[], Value]) -> Value:
    """What a function returns, or raises if that is an error of ours, without its traces in this process.

    Code that keeps a tensor for later, in a cache of its module, would find one without values there.

    Raises:
        ResourceError: The process died.
    """
    with in_child_process(function) as result:
        return result()


@contextmanager
def in_child_process(function: Callable[[], Value]) -> Iterator[Callable[[], Value]]:
    """Call a function in a process of its own meanwhile.

    Where processes cannot be forked, the function is called here, when its result is asked for.

    Yields:
        What waits for the result and returns or raises it, as `apart` does.
    """
    if sys.platform != "linux" or torch.cuda.is_initialized():  # type: ignore[no-untyped-call]  # torch
        yield function
        return
    context = multiprocessing.get_context("fork")
    receiver, sender = context.Pipe(duplex=False)
    process = context.Process(target=_answer, args=(function, sender))
    process.start()
    sender.close()
    try:
        yield lambda: cast(Value, _received(process, receiver))
    finally:
        process.kill()  # Has said all it has to, or nobody asks any more.
        process.join()


def _received(process: BaseProcess, receiver: Connection) -> Any:
    try:
        answer = receiver.recv()
    except EOFError:
        process.join()
        raise ResourceError(
            f"the trace ended with {process.exitcode} and said nothing; if memory ran out, --no-trace starts without it"
        ) from None
    if isinstance(answer, ArtschoolError):
        raise answer
    return answer


def _answer(function: Callable[[], Any], sender: Connection) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches both processes; the other one ends this.
    torch.set_num_threads(1)  # Those of the process that was forked are not here.
    try:
        sender.send(function())
    except ArtschoolError as error:
        sender.send(error)
