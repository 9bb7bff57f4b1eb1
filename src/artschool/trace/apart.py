"""Call a function in a process of its own, so that nothing of what it did stays."""

from __future__ import annotations

import multiprocessing
import sys
from collections.abc import Callable
from multiprocessing.connection import Connection
from typing import Any, TypeVar

import torch

from artschool.errors import ArtschoolError, ResourceError

Value = TypeVar("Value")


def apart(function: Callable[[], Value]) -> Value:
    """What a function returns, or raises if that is an error of ours, without its traces in this process.

    Code that keeps a tensor for later, in a cache of its module, would find one without values there. Where processes
    cannot be forked, the function is called here.

    Raises:
        ResourceError: The process died.
    """
    if sys.platform != "linux" or torch.cuda.is_initialized():  # type: ignore[no-untyped-call]  # torch
        return function()
    context = multiprocessing.get_context("fork")
    receiver, sender = context.Pipe(duplex=False)
    process = context.Process(target=_answer, args=(function, sender))
    process.start()
    sender.close()
    try:
        answer: Any = receiver.recv()
    except EOFError:
        process.join()
        raise ResourceError(
            f"the trace ended with {process.exitcode} and said nothing; if memory ran out, --no-trace starts without it"
        ) from None
    process.join()
    if isinstance(answer, ArtschoolError):
        raise answer
    value: Value = answer
    return value


def _answer(function: Callable[[], Any], sender: Connection) -> None:
    torch.set_num_threads(1)  # Those of the process that was forked are not here.
    try:
        sender.send(function())
    except ArtschoolError as error:
        sender.send(error)
