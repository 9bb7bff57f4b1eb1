"""Strategies of hypothesis that damage files, and what a reader may do with them: refuse them, or read them."""

from __future__ import annotations

import contextlib
import copy
import os
import resource
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st

from artschool.errors import ArtschoolError

FEW, MANY = 50, 2000
SECONDS = 20
MEMORY = 3 << 30
few = settings(
    max_examples=FEW, derandomize=True, deadline=None, database=None, suppress_health_check=list(HealthCheck)
)
many = settings(max_examples=MANY, deadline=None, database=None, suppress_health_check=list(HealthCheck))

ODD: tuple[Any, ...] = (
    *(None, True, False, 0, -1, 1, 2**31, 2**63, 2**200, -(2**63), 0.5, -1.5, 1e308, float("nan"), float("-inf")),
    *(
        "",
        "x",
        "nan",
        "../../etc/passwd",
        "os.system",
        "__class__",
        "\x00",
        "\ud800",
        "{x}",
        "%s",
        "\x1b[2J",
        "é" * 300,
    ),
    *([], {}, [[]], [1, 2], {"": 0}, {"$float": "nan"}, {"$float": 1}, {"type": "x"}),
)


@contextmanager
def bounded() -> Iterator[None]:
    """Neither seconds without end nor gigabytes: a timer and a limit of memory end the block with an error."""

    def late(number: int, frame: FrameType | None) -> None:
        raise AssertionError(f"not done in {SECONDS} s")

    limits, before = resource.getrlimit(resource.RLIMIT_AS), signal.signal(signal.SIGALRM, late)
    taken = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[0]) * os.sysconf("SC_PAGE_SIZE")
    resource.setrlimit(resource.RLIMIT_AS, (taken + MEMORY, limits[1]))
    signal.alarm(SECONDS)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)
        resource.setrlimit(resource.RLIMIT_AS, limits)


def read_or_refused(read: Callable[[], object]) -> bool:
    """Whether a reader reads its input. It may raise only errors of the package, whose text can be printed."""
    with bounded(), contextlib.suppress(ArtschoolError):
        try:
            read()
        except ArtschoolError as error:
            str(error).encode("utf-8", "backslashreplace")
            raise
        return True
    return False


def places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """The path of each value below a plain value."""
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, child in items:
        yield (*path, key)
        yield from places(child, (*path, key))


@st.composite
def changed(draw: st.DrawFn, value: Any) -> Any:
    """A plain value in which one to three parts are left out, renamed, doubled, exchanged or odd."""
    value = copy.deepcopy(value)
    for _ in range(draw(st.integers(1, 3))):
        paths = list(places(value))
        if not paths:
            break
        path, kind = draw(st.sampled_from(paths)), draw(st.sampled_from(["drop", "rename", "odd", "odd", "other"]))
        parent = at(value, path[:-1])
        if kind == "odd":
            parent[path[-1]] = copy.deepcopy(draw(st.sampled_from(ODD)))
        elif kind == "other":
            parent[path[-1]] = copy.deepcopy(at(value, draw(st.sampled_from(paths))))
        else:
            gone = parent.pop(path[-1])
            if kind == "rename" and isinstance(parent, dict):
                parent[draw(st.sampled_from(["x", "", "../y", f"{path[-1]}2", "__class__"]))] = gone
    return value


def at(value: Any, path: tuple[Any, ...]) -> Any:
    """The value at a path."""
    for key in path:
        value = value[key]
    return value


@st.composite
def damaged(draw: st.DrawFn, data: bytes) -> bytes:
    """Bytes of which some are other ones, left out, repeated, or replaced by a length that cannot be."""
    for _ in range(draw(st.integers(1, 4))):
        start = draw(st.integers(0, max(len(data) - 1, 0)))
        stop = draw(st.integers(start, min(start + 64, len(data))))
        new = draw(
            st.one_of(
                st.just(b""),
                st.binary(max_size=16),
                st.sampled_from([b"\xff" * 8, b"\x00" * 8, b"9" * 20, b"[" * 2000, b'"', b"{}", b"-1"]),
                st.just(data[start:stop] * 2),
            )
        )
        data = data[:start] + new + data[stop:]
    return data
