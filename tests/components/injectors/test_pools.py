"""Queues, pools and replay buffers: what they keep and return, by hand."""

from __future__ import annotations

from unittest.mock import Mock

import pytest
import torch
from torch import Tensor

from artschool import ranks
from artschool.components.injectors.image_pool import ImagePool
from artschool.components.injectors.queue import Queue
from artschool.components.injectors.replay_buffer import ReplayBuffer
from artschool.errors import ConfigError
from artschool.registry.signature import Context


def at(*, training: bool = True) -> Mock:
    return Mock(spec=Context, training=training, generator=torch.default_generator)


def rows(*values: float) -> Tensor:
    return torch.tensor(values)[:, None]


def test_a_queue_returns_the_rows_of_earlier_batches() -> None:
    queue = Queue(size=3, shape=[1], initial="zeros")
    assert queue(rows(1, 2), at()).flatten().tolist() == [0, 0, 0]
    assert queue(rows(3, 4), at()).flatten().tolist() == [1, 2, 0]
    assert queue(rows(5, 6, 7, 8), at()).flatten().tolist() == [4, 2, 3]
    assert sorted(queue(rows(9), at()).flatten().tolist()) == [6, 7, 8]  # The last three of four.


def test_an_evaluation_adds_nothing_to_a_queue() -> None:
    queue = Queue(size=2, shape=[1], initial="zeros")
    queue(rows(1), at(training=False))
    assert queue.rows.flatten().tolist() == [0, 0]
    assert queue.count.item() == 0


def test_a_queue_starts_on_the_sphere() -> None:
    torch.testing.assert_close(Queue(size=5, shape=[7]).rows.norm(dim=1), torch.ones(5))


def test_rows_of_another_shape_are_refused() -> None:
    with pytest.raises(ConfigError, match=r"expected rows of shape \(2,\), got \(3,\)"):
        Queue(size=5, shape=[2])(torch.zeros(1, 3), at())
    pool = ImagePool(size=2)
    pool(torch.zeros(1, 3), at())
    with pytest.raises(ConfigError, match=r"expected images of shape \(3,\), got \(2,\)"):
        pool(torch.zeros(1, 2), at())


def test_a_pool_fills_and_then_exchanges_as_the_draws_say() -> None:
    pool = ImagePool(size=2)
    assert pool(rows(1, 2), at()).flatten().tolist() == [1, 2]
    torch.manual_seed(5)
    got = pool(rows(3, 4, 5, 6), at()).flatten().tolist()
    torch.manual_seed(5)
    coins, picks = torch.rand(4).tolist(), torch.randint(2, (4,)).tolist()
    assert len({coin < 0.5 for coin in coins}) == 2
    kept, expected = [1.0, 2.0], []
    for value, coin, pick in zip([3.0, 4.0, 5.0, 6.0], coins, picks, strict=True):
        expected.append(kept[pick] if coin < 0.5 else value)
        kept[pick] = value if coin < 0.5 else kept[pick]
    assert got == expected
    assert pool.images.flatten().tolist() == kept


def test_a_pool_without_exchange_returns_what_it_gets() -> None:
    pool = ImagePool(size=2, probability=0.0)
    pool(rows(1, 2), at())
    assert pool(rows(3, 4), at()).flatten().tolist() == [3, 4]
    assert ImagePool()(rows(7), at(training=False)).tolist() == [[7]]


def test_rows_of_pretended_processes_have_a_shape() -> None:
    with ranks.pretended(2):
        assert ImagePool(size=3)(rows(1, 2), at()).shape == (2, 1)
        queue = Queue(size=8, shape=[1])
        queue(rows(1, 2), at())
        assert queue.count.item() == 4


def test_a_replay_buffer_draws_rows_that_belong_together() -> None:
    buffer = ReplayBuffer(size=4, rows=64)
    for first in (1.0, 3.0, 5.0):
        x = rows(first, first + 1)
        drawn, ten_times = buffer([x, 10 * x], at())
        torch.testing.assert_close(ten_times, 10 * drawn)
        newest = {first, first + 1, first - 1, first - 2} - {0.0, -1.0}
        assert set(drawn.flatten().tolist()) == newest
    (given,) = buffer([rows(9)], at(training=False))
    assert given.tolist() == [[9]]
