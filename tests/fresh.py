"""Processes that have computed nothing yet.

With a torch for CUDA, a process that is forked by one that has computed gradients of fake tensors, as tests do, cannot
compute any.
"""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable
from contextlib import chdir
from multiprocessing.forkserver import ensure_running
from multiprocessing.process import BaseProcess

from tests.engine.forked import ROOT

_FORKED = multiprocessing.get_context("forkserver")
_FORKED.set_forkserver_preload(["tests.preloaded"])


def start(work: Callable[[], object]) -> BaseProcess:
    """Start a process that does the work: a function of a module, or a `partial` of one."""
    process = _FORKED.Process(target=work)
    with chdir(ROOT):  # From where `tests` can be imported.
        ensure_running()
    process.start()
    return process


def exit_code(work: Callable[[], object]) -> int:
    """How such a process ends. Negative: the number of a signal."""
    process = start(work)
    process.join()
    assert process.exitcode is not None
    return process.exitcode
