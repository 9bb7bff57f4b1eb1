"""FLOPs, bytes and messages in numbers by hand, and against torch's own counter."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
import torch.distributed as dist
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from artschool import ranks
from artschool.trace.fake import fake_tensors
from artschool.trace.work import Message, Operation, Work, WorkCounter


def counted(function: Callable[[], object]) -> Work:
    counter = WorkCounter()
    with fake_tensors(), counter, counter.counted() as work:
        function()
    return work


def backward(network: Callable[[Tensor], Tensor], *shape: int) -> Callable[[], None]:
    """A function that trains a network on an input that requires a gradient."""

    def run() -> None:
        network(torch.randn(*shape, requires_grad=True)).sum().backward()  # type: ignore[no-untyped-call]  # torch

    return run


def test_the_flops_of_a_linear_layer() -> None:
    work = counted(backward(nn.Linear(5, 7), 3, 5))
    assert work.flops == 3 * (2 * 3 * 5 * 7)  # Forward, gradient of the input, gradient of the weight.
    assert sum(o.flops * n for o, n in work.operations.items() if o.backward) == 2 * (2 * 3 * 5 * 7)


def test_the_flops_of_a_convolution() -> None:
    places = 6 * 6
    work = counted(backward(nn.Conv2d(3, 4, 3), 2, 3, 8, 8))
    assert work.flops == 3 * (2 * 2 * places * 4 * 3 * 3 * 3)


def test_the_flops_of_attention_are_those_of_its_four_products_and_of_five_in_backward() -> None:
    """Backward computes the scores again."""
    product = 2 * 2 * 4 * 16 * 16 * 8
    work = counted(backward(lambda x: F.scaled_dot_product_attention(x, x, x), 2, 4, 16, 8))
    assert work.flops == (2 + 5) * product


def test_the_flops_of_recurrent_layers() -> None:
    times, width = 5 * 3, 8
    work = counted(backward(lambda x: nn.LSTM(width, width)(x)[0], 5, 3, width))
    assert work.flops == 3 * times * 2 * 4 * (width * width + width * width)


def test_the_flops_are_those_of_torch() -> None:
    def network() -> nn.Module:
        return nn.Sequential(
            nn.Conv2d(3, 8, 3), nn.ReLU(), nn.ConvTranspose2d(8, 3, 2), nn.Flatten(), nn.Linear(147, 2)
        )

    work = counted(backward(network(), 2, 3, 8, 8))
    with FlopCounterMode(display=False) as torch_counter:
        backward(network(), 2, 3, 8, 8)()
    assert work.flops == torch_counter.get_total_flops() > 0


def operations(function: Callable[[], object]) -> list[tuple[int, int]]:
    """Bytes and number of the operations of a function."""
    return [(operation.nbytes, number) for operation, number in counted(function).operations.items()]


def test_bytes_are_read_and_written() -> None:
    x, y = torch.ones(10), torch.ones(10)
    assert operations(lambda: x + y) == [(3 * 40, 1)]
    assert operations(lambda: x * x) == [(2 * 40, 1)]  # One tensor is read once.
    assert operations(lambda: x.add_(1)) == [(2 * 40, 1)]
    assert operations(lambda: torch._foreach_add_([x, y], 1)) == [(4 * 40, 1)]
    assert operations(lambda: x.view(2, 5).t()[0]) == []
    assert operations(lambda: torch.empty(5)) == []
    assert operations(lambda: torch.ones(1).expand(100) + x[:1]) == [(4, 1), (4 + 4 + 400, 1)]


def test_an_operation_has_the_type_of_its_result() -> None:
    x = torch.ones(10)
    assert counted(x.bfloat16).operations == {Operation(0, 60, "bfloat16", backward=False): 1}


def test_messages_are_those_of_a_ring() -> None:
    counter = WorkCounter()
    with ranks.pretended(4), fake_tensors(), counter:
        pairs = dist.new_subgroups_by_enumeration([[0, 2], [1, 3]])[0]  # type: ignore[no-untyped-call]  # torch
        with counter.counted() as work:
            dist.all_reduce(torch.ones(10))
            dist.all_reduce(torch.ones(10), group=pairs)
            dist.all_gather([torch.empty(10) for _ in range(4)], torch.ones(10))
            dist.reduce_scatter(torch.empty(10), [torch.ones(10) for _ in range(4)])
            dist.broadcast(torch.ones(10), 0)
    assert work.messages == {
        Message("all-reduce", 40, 4, 1, backward=False): 1,
        Message("all-reduce", 40, 2, 2, backward=False): 1,
        Message("all-gather", 160, 4, 1, backward=False): 1,
        Message("reduce-scatter", 160, 4, 1, backward=False): 1,
        Message("broadcast", 40, 4, 1, backward=False): 1,
    }
    assert work.sent == {
        "all-reduce": 2 * 3 / 4 * 40 + 2 * 1 / 2 * 40,
        "all-gather": 3 / 4 * 160,
        "reduce-scatter": 3 / 4 * 160,
        "broadcast": 3 / 4 * 40,
    }


@pytest.mark.parametrize("count", [1, 3])
def test_pretended_processes_end(count: int) -> None:
    with ranks.pretended(count):
        assert (ranks.world_size(), ranks.rank()) == (count, 0)
    assert ranks.world_size() == 1 and not dist.is_initialized()
