"""Exchanges of gradients between two processes, for `test_exchange.py`. Each function runs on both, and asserts."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from artschool import ranks
from artschool.engine import exchange
from artschool.engine.exchange import Exchange
from artschool.errors import StateError
from tests.engine.forked import in_processes

sent: list[int] = []
"""The number of elements of each bucket that was sent."""


def parameters(*sizes: int) -> list[nn.Parameter]:
    return [nn.Parameter(torch.ones(size)) for size in sizes]


def backward(exchanged: Exchange, *losses: Tensor, is_last: bool = True) -> None:
    with exchanged.part(is_last=is_last):
        torch.stack(losses).sum().backward()  # type: ignore[no-untyped-call]  # torch


def gradients(trained: list[nn.Parameter]) -> list[list[float] | None]:
    return [None if p.grad is None else p.grad.tolist() for p in trained]


def a_gradient_is_the_sum_of_the_processes_that_have_one(rank: int) -> None:
    first, second, third, _ = trained = parameters(1, 2, 1, 1)
    exchanged = Exchange("main", trained)
    exchanged.start(trained)
    if rank == 0:
        backward(exchanged, first.sum(), 2 * second.sum())
    else:
        backward(exchanged, 10 * second.sum(), 3 * third.sum())
    exchanged.finish()
    assert gradients(trained) == [[1.0], [12.0, 12.0], [3.0], None], gradients(trained)


def a_process_without_backward_takes_part(rank: int) -> None:
    trained = parameters(1, 2)
    exchanged = Exchange("main", trained)
    exchanged.start(trained)
    if rank == 1:
        backward(exchanged, *(p.sum() for p in trained))
    exchanged.finish()
    assert gradients(trained) == [[1.0], [1.0, 1.0]]


def buckets_are_sent_while_the_last_backward_runs(rank: int) -> None:
    trained = parameters(100, 300, 300)
    exchanged = Exchange("main", trained)
    exchanged.start(trained)
    backward(exchanged, *(p.sum() for p in trained), is_last=False)
    assert sent == []
    at_first: list[int] = []
    hidden = trained[0] * 1.0  # Backward reaches it last.
    hidden.register_hook(lambda gradient: at_first.extend(sent))  # type: ignore[no-untyped-call]  # torch
    value = hidden.sum()
    for parameter in trained[1:]:
        value = value * parameter.mean()
    backward(exchanged, value)
    assert len(at_first) == 2 and len(sent) == 3, (at_first, sent)
    exchanged.finish()
    assert len(sent) == 3
    assert gradients(trained)[0] == [4.0] * 100


def what_is_frozen_is_not_sent(rank: int) -> None:
    trained = parameters(16, 32)
    exchanged = Exchange("main", trained)
    for active, expected in ((trained, [48]), (trained[:1], [16]), (trained, [48])):
        sent.clear()
        exchanged.start(active)
        backward(exchanged, *(p.sum() for p in active))
        exchanged.finish()
        assert sent == expected
        assert gradients(active) == [[2.0] * len(p) for p in active]
        for parameter in trained:
            parameter.grad = None


def a_kept_gradient_stays(rank: int) -> None:
    trained = parameters(3)
    exchanged = Exchange("main", trained)
    kept = []
    for factor in (1, 5):
        exchanged.start(trained)
        backward(exchanged, factor * trained[0].sum())
        exchanged.finish()
        kept.append(trained[0].grad)
        trained[0].grad = None
    assert [g.tolist() for g in kept if g is not None] == [[2.0] * 3, [10.0] * 3]


def a_gradient_has_the_layout_of_its_parameter(rank: int) -> None:
    conv = nn.Conv2d(4, 8, 3).to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # torch's stub
    trained = list(conv.parameters())
    exchanged = Exchange("main", trained)
    exchanged.start(trained)
    backward(exchanged, conv(torch.full((2, 4, 5, 5), rank + 1.0)).sum())
    exchanged.finish()
    assert conv.weight.grad is not None and conv.weight.grad.stride() == conv.weight.stride()
    assert conv.weight.grad.unique().tolist() == [2 * 9 * 3.0]


def backward_outside_of_a_part_sends_nothing(rank: int) -> None:
    trained = parameters(3)
    exchanged = Exchange("main", trained)
    exchanged.start(trained)
    backward(exchanged, trained[0].sum(), is_last=False)
    trained[0].sum().backward()  # type: ignore[no-untyped-call]  # torch
    assert sent == []
    exchanged.finish()
    assert gradients(trained) == [[4.0] * 3]


def a_gradient_in_parts_is_an_error(rank: int) -> None:
    trained = parameters(3)
    exchanged = Exchange("main", trained)
    exchanged.start(trained)
    x = torch.ones(3, requires_grad=True)
    for _ in range(2):
        x = checkpoint(lambda x: x * trained[0], x, use_reentrant=True)
    try:
        backward(exchanged, x.sum())
    except StateError as error:
        assert "steps.main: a parameter of shape (3,) got its gradient in several parts" in str(error)
    else:
        raise AssertionError("no error")
    exchanged.finish()


def losses_may_communicate_in_backward(rank: int) -> None:
    class Summed(torch.autograd.Function):
        """The sum over processes, in forward and in backward."""

        @staticmethod
        def forward(context: object, x: Tensor) -> Tensor:
            total = x.detach().clone()
            ranks.sum_in_place([total])
            return total

        @staticmethod
        def backward(context: object, gradient: Tensor) -> Tensor:
            total = gradient.clone()
            ranks.sum_in_place([total])
            return total

    early, late, unused = trained = parameters(300, 300, 300)
    exchanged = Exchange("main", trained)
    exchanged.start(trained)
    # Only rank 0 has a gradient for the first bucket, so that it alone sends buckets before the loss communicates.
    total = (Summed.apply(early.sum()) * late).sum()  # type: ignore[no-untyped-call]  # torch
    extra = [unused.sum()] if rank == 0 else []  # Backward begins with what forward did last.
    backward(exchanged, total, *extra)
    exchanged.finish()
    assert gradients(trained) == [[1200.0] * 300, [1200.0] * 300, [1.0] * 300]


def broadcast_sends_all_kinds(rank: int) -> None:
    values = [
        torch.full((2,), float(rank)),
        torch.tensor(rank),
        torch.full((1, 3), rank + 0.5),
        torch.tensor([True, rank == 0]),
    ]
    ranks.broadcast(values)
    assert [v.tolist() for v in values] == [[0.0, 0.0], 0, [[0.5] * 3], [True, True]]
    ranks.broadcast(shared := [torch.tensor([float(rank)])], 1)
    assert shared[0].item() == 1.0


CASES: list[Callable[[int], None]] = [
    a_gradient_is_the_sum_of_the_processes_that_have_one,
    a_process_without_backward_takes_part,
    buckets_are_sent_while_the_last_backward_runs,
    what_is_frozen_is_not_sent,
    a_kept_gradient_stays,
    a_gradient_has_the_layout_of_its_parameter,
    backward_outside_of_a_part_sends_nothing,
    a_gradient_in_parts_is_an_error,
    losses_may_communicate_in_backward,
    broadcast_sends_all_kinds,
]


def run(rank: int) -> None:
    """Run every case, with buckets of a few hundred elements."""
    exchange.FIRST_BUCKET_BYTES = exchange.BUCKET_BYTES = 1200
    start_sum = ranks.start_sum

    def record(tensor: Tensor) -> Callable[[], object]:
        sent.append(tensor.numel())
        return start_sum(tensor)

    ranks.start_sum = record
    ranks.start(torch.device("cpu"))
    for case in CASES:
        sent.clear()
        case(rank)
    ranks.wait()
    ranks.stop()


if __name__ == "__main__":
    in_processes(2, run)
