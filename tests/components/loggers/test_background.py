"""The thread of loggers that speak to servers."""

from __future__ import annotations

import threading
import time

import pytest
import torch

from artschool.components.loggers import background
from artschool.components.loggers.background import Background
from artschool.errors import ResourceError


def test_calls_are_made_in_order_before_the_end() -> None:
    made: list[int] = []
    thread = Background("server")
    for number in range(100):
        thread.call(made.append, number)
    thread.close()
    assert made == list(range(100))


def test_an_error_is_raised_by_the_next_call_and_ends_the_calls() -> None:
    made: list[int] = []
    done = threading.Event()
    thread = Background("server")
    thread.call(int, "no number")
    thread.call(made.append, 1)
    thread._waiting.put((done.set, ()))
    thread._waiting.put(None)
    thread._thread.join()
    with pytest.raises(ValueError, match="no number"):
        thread.call(made.append, 2)
    with pytest.raises(ValueError, match="no number"):
        thread.close()
    assert made == []


def test_a_server_that_does_not_respond_holds_up_neither_the_training_nor_its_end(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(background, "PATIENCE_S", 0.05)
    monkeypatch.setattr(background, "MOST_WAITING", 3)
    never, begun = threading.Event(), threading.Event()
    thread = Background("server")

    def hang() -> None:
        begun.set()
        never.wait()

    thread.call(hang)
    begun.wait()
    for _ in range(10):
        thread.call(hang)
    with pytest.raises(ResourceError, match="server does not respond, or is too slow: 12 calls were left out"):
        thread.close()
    never.set()


def test_images_that_wait_are_bounded_by_their_bytes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(background, "MOST_BYTES", 1000)
    made: list[str] = []
    begun, goes_on = threading.Event(), threading.Event()
    image = torch.zeros(100)  # 400 bytes.
    thread = Background("server")

    def show(name: str, images: dict[str, list[torch.Tensor]]) -> None:
        begun.set()
        goes_on.wait()
        made.append(name)

    for name in "abc":
        thread.call(show, name, {"sr": [image]})
        begun.wait()
    thread.call(made.append, "number")
    goes_on.set()
    while "number" not in made:
        time.sleep(0.001)
    thread.call(show, "d", {"sr": [image]})
    with pytest.raises(ResourceError, match="1 calls were left out"):
        thread.close()
    assert made == ["a", "b", "number", "d"]
