"""A process ends the connections of its process groups, and no other one."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from artschool.ranks import connections

Pair = tuple[socket.socket, socket.socket]


@pytest.fixture
def server() -> Iterator[socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        yield listening


def connect(server: socket.socket, stack: ExitStack) -> Pair:
    here = stack.enter_context(socket.create_connection(server.getsockname()))
    there = stack.enter_context(server.accept()[0])
    there.settimeout(10)
    return here, there


def test_the_peers_of_recorded_connections_read_their_end(server: socket.socket) -> None:
    with ExitStack() as stack:
        before = connect(server, stack)
        with connections.recorded():
            recorded = connect(server, stack)
            closed = connect(server, stack)
        for each in closed:
            each.close()
        after = connect(server, stack)  # With the numbers of the files that are closed.
        connections.end_all()
        assert recorded[1].recv(1) == b""
        for here, there in (before, after, connect(server, stack)):
            here.sendall(b"x")
            assert there.recv(1) == b"x"


def test_the_store_stays_connected(server: socket.socket, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MASTER_PORT", str(server.getsockname()[1]))
    with ExitStack() as stack:
        with connections.recorded():
            here, there = connect(server, stack)
        connections.end_all()
        here.sendall(b"x")
        assert there.recv(1) == b"x"


def test_connections_that_are_closed_meanwhile_do_not_keep_the_others(
    server: socket.socket, monkeypatch: pytest.MonkeyPatch
) -> None:
    """gloo closes them in a thread of its own, as soon as the other process has read the end of the first one."""
    with ExitStack() as stack:
        with connections.recorded():
            made = [connect(server, stack) for _ in range(8)]
        listed = connections._sockets()
        for each in made[:4]:
            each[0].close()
        here, there = connect(server, stack)  # With the number of a file that is closed.
        monkeypatch.setattr(connections, "_sockets", lambda: listed)
        connections.end_all()
        assert [peer.recv(1) for _, peer in made[4:]] == [b""] * 4
        here.sendall(b"x")
        assert there.recv(1) == b"x"
