"""The codebook: what it returns, how it moves, and that the processes together move it as one would."""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence

import pytest
import torch
from torch import Tensor, tensor

from artschool import ranks
from artschool.components.networks.vector_quantizer import VectorQuantizer


def quantizer(codebook: Tensor, **options: float) -> VectorQuantizer:
    made = VectorQuantizer(num_codes=len(codebook), dim=codebook.shape[1], **options)
    made.codebook.copy_(codebook)
    return made


def learn(network: VectorQuantizer, *parts: Tensor) -> None:
    network.before_step(0)
    for part in parts:
        network(part)
    network.after_step(0)


LINE = tensor([[0.0], [1.0], [4.0]])


def test_vectors_become_the_nearest_codes_and_gradients_pass() -> None:
    x = tensor([[[[0.2, 0.7], [3.0, 9.0]]]]).requires_grad_()
    quantized, commitment, codes = quantizer(LINE)(x)
    assert codes.tolist() == [[[0, 1], [2, 2]]]
    assert quantized.flatten().tolist() == [0, 1, 4, 4]
    assert commitment.item() == pytest.approx((0.04 + 0.09 + 1 + 25) / 4)
    (3 * quantized.sum()).backward()
    assert x.grad is not None and set(x.grad.flatten().tolist()) == {3.0}


def test_the_commitment_pulls_vectors_to_their_codes() -> None:
    x = tensor([[[0.2, 0.7]]]).requires_grad_()
    quantizer(LINE)(x)[1].backward()
    torch.testing.assert_close(x.grad, tensor([[[0.2, -0.3]]]))  # 2 (x - code) / 2


def test_codes_and_vectors_are_each_others_inverse() -> None:
    network = VectorQuantizer(num_codes=7, dim=3)
    codes = torch.arange(7).view(1, 7).repeat(2, 1)
    vectors = network.decode_codes(codes)
    assert vectors.shape == (2, 3, 7)
    assert torch.equal(network.encode(vectors), codes)


def test_the_codebook_is_the_average_of_what_chose_it() -> None:
    network = quantizer(LINE, decay=0.5, restart_below=0)
    learn(network, tensor([[[0.2, 0.4, 0.9]]]))
    # Sums .3 and .45 over uses 1 and .5, up to Laplace smoothing; nothing chose the third.
    torch.testing.assert_close(network.codebook, tensor([[0.3], [0.9], [4.0]]), rtol=1e-4, atol=0)
    learn(network, tensor([[[0.55, 1.2]]]))
    # 0.55 is nearer to 0.3, 1.2 to 0.9.
    torch.testing.assert_close(network.uses, tensor([1.0, 0.75, 0.0]))
    torch.testing.assert_close(network.sums, tensor([[0.425], [0.825], [0.0]]))


def test_uses_are_smoothed_after_laplace() -> None:
    network = quantizer(LINE, decay=0.0, restart_below=0)
    learn(network, tensor([[[0.0, 0.0, 0.0, 5.0]]]))
    uses = 1 + 1e-5
    assert network.codebook[2].item() == pytest.approx(5.0 / (uses / (4 + 3e-5) * 4), rel=1e-7)


def test_parts_of_a_batch_move_the_codebook_as_the_whole() -> None:
    x = torch.randn(6, 2, 5)
    whole = VectorQuantizer(num_codes=8, dim=2, restart_below=0.0)
    cut = copy.deepcopy(whole)
    learn(whole, x)
    learn(cut, *x.tensor_split(3))
    torch.testing.assert_close(cut.state_dict(), whole.state_dict())


def test_only_training_with_gradients_moves_it() -> None:
    network = quantizer(LINE)
    before = copy.deepcopy(network.state_dict())
    network.eval()
    learn(network, torch.randn(4, 1, 3))
    network.train()
    with torch.no_grad():
        learn(network, torch.randn(4, 1, 3))
    network(torch.randn(4, 1, 3))  # of another step
    learn(network)
    for name, value in network.state_dict().items():
        assert torch.equal(value, before[name]), name


def test_the_first_update_puts_unused_codes_on_vectors() -> None:
    network = VectorQuantizer(num_codes=16, dim=2, decay=0.0)
    x = torch.randn(3, 2, 4) + 100
    learn(network, x)
    used = {tuple(vector) for vector in x.movedim(1, -1).reshape(-1, 2).tolist()}
    exact = [any(torch.allclose(code, tensor(vector), rtol=1e-5) for vector in used) for code in network.codebook]
    assert sum(exact) >= 15


def test_a_dead_code_comes_back_with_the_mean_use_and_a_living_one_stays() -> None:
    network = quantizer(tensor([[0.0], [50.0]]), decay=0.5, restart_below=0.1)
    network.uses.copy_(tensor([10.0, 0.5]))
    network.sums.copy_(tensor([[0.0], [25.0]]))
    learn(network, torch.full((1, 1, 10), 3.0))
    # Uses fall to 10 and 0.25; the mean is 5.125, and the second is below a tenth of it.
    torch.testing.assert_close(network.uses, tensor([10.0, 5.125]))
    torch.testing.assert_close(network.codebook, tensor([[1.5], [3.0]]), rtol=1e-4, atol=0)


def test_vectors_that_are_not_finite_move_nothing() -> None:
    network = quantizer(LINE)
    learn(network, torch.randn(4, 1, 3))
    before = copy.deepcopy(network.state_dict())
    learn(network, tensor([[[0.1, float("nan")]]]))
    for name, value in network.state_dict().items():
        assert torch.equal(value, before[name]), name


def test_what_is_collected_is_no_part_of_a_checkpoint() -> None:
    assert set(VectorQuantizer(num_codes=2, dim=2).state_dict()) == {"codebook", "uses", "sums"}


def test_a_copy_continues_to_the_same_bits() -> None:
    network = VectorQuantizer(num_codes=8, dim=2)
    learn(network, torch.randn(5, 2, 4))
    again = VectorQuantizer(num_codes=8, dim=2)
    again.load_state_dict(network.state_dict())
    for made in (network, again):
        torch.manual_seed(3)
        learn(made, torch.randn(5, 2, 4))
    assert all(torch.equal(a, b) for a, b in zip(network.buffers(), again.buffers(), strict=True))


def test_bf16_vectors_are_compared_in_float32() -> None:
    network = VectorQuantizer(num_codes=8, dim=4)
    with torch.autocast("cpu", torch.bfloat16):
        quantized, commitment, codes = network(network.codebook[:, :, None].bfloat16())
        network.after_step(0)
    assert quantized.dtype is torch.bfloat16 and commitment.dtype is torch.float32
    assert codes.flatten().tolist() == list(range(8))


def test_its_perplexity_is_logged() -> None:
    network = VectorQuantizer(num_codes=4, dim=1)
    assert network.get_debug_values(0, "vq")["codebook_perplexity"].item() == 1.0
    network.uses.copy_(tensor([2.0, 2.0, 0.0, 0.0]))
    assert network.get_debug_values(0, "vq")["codebook_perplexity"].item() == pytest.approx(2.0)


class Lockstep:
    """Two processes played by one: each sum waits until both have given their part."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, num_ranks: int) -> None:
        self._monkeypatch, self._num_ranks = monkeypatch, num_ranks
        self._parts: list[list[list[Tensor]]] = []

    def run(self, of_rank: Callable[[int], None]) -> None:
        """Run every rank as often as there are sums, with one more sum known each time."""
        sums = 0
        while True:
            self._given: list[list[list[Tensor]]] = [[] for _ in range(self._num_ranks)]
            for rank in range(self._num_ranks):
                self._enter(rank)
                of_rank(rank)
            if len(self._parts) == len(self._given[0]):
                return
            self._parts.append([given[sums] for given in self._given])
            sums += 1

    def _enter(self, rank: int) -> None:
        def sum_in_place(tensors: Sequence[Tensor]) -> None:
            index = len(self._given[rank])
            self._given[rank].append([part.clone() for part in tensors])
            if index < len(self._parts):
                for position, part in enumerate(tensors):
                    part.copy_(torch.stack([given[position] for given in self._parts[index]]).sum(0))

        self._monkeypatch.setattr(ranks, "sum_in_place", sum_in_place)
        self._monkeypatch.setattr(ranks, "rank", lambda: rank)
        self._monkeypatch.setattr(ranks, "is_main", lambda: rank == 0)
        self._monkeypatch.setattr(ranks, "world_size", lambda: self._num_ranks)


@pytest.mark.parametrize("num_ranks", [2, 3])
def test_several_processes_move_it_as_one_does_restarts_included(
    monkeypatch: pytest.MonkeyPatch, num_ranks: int
) -> None:
    x = torch.randn(6, 2, 5)
    start = VectorQuantizer(num_codes=32, dim=2)
    one = copy.deepcopy(start)
    torch.manual_seed(0)
    learn(one, x)
    found: dict[int, VectorQuantizer] = {}

    def of_rank(rank: int) -> None:
        found[rank] = copy.deepcopy(start)
        torch.manual_seed(rank)
        learn(found[rank], list(x.tensor_split(num_ranks))[rank])

    Lockstep(monkeypatch, num_ranks).run(of_rank)
    assert len(set(one.uses.tolist())) < 32  # some were dead
    for network in found.values():
        for name, value in one.state_dict().items():
            torch.testing.assert_close(network.state_dict()[name], value)
