"""Which timesteps are drawn."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import Tensor, tensor

from artschool import ranks
from artschool.components.diffusion.timesteps import LossSecondMoment, even_timesteps, uniform_timesteps

CPU = torch.device("cpu")


def test_even_timesteps_are_the_middles_of_equal_parts() -> None:
    t, weights = even_timesteps(4, 100, CPU)
    assert t.tolist() == [12, 37, 62, 87]
    assert weights.tolist() == [1.0] * 4


def test_even_timesteps_of_two_processes_are_those_of_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ranks, "world_size", lambda: 2)
    both = []
    for rank in range(2):
        monkeypatch.setattr(ranks, "rank", lambda rank=rank: rank)
        both += even_timesteps(2, 100, CPU)[0].tolist()
    assert sorted(both) == [12, 37, 62, 87]


def test_uniform_timesteps_reach_both_ends() -> None:
    torch.manual_seed(0)
    t, _ = uniform_timesteps(300, 10, CPU)
    assert set(t.tolist()) == set(range(10))


def warm(losses: list[float], history: int = 2) -> LossSecondMoment:
    sampler = LossSecondMoment(len(losses), history=history, uniform=0.1)
    for _ in range(history):
        sampler.update(torch.arange(len(losses)), tensor(losses))
    return sampler


def test_uniform_until_every_timestep_has_its_history() -> None:
    sampler = LossSecondMoment(3, history=2)
    sampler.update(tensor([0, 0, 1, 1, 2]), tensor([5.0, 5.0, 1.0, 1.0, 1.0]))
    assert sampler.probabilities().tolist() == pytest.approx([1 / 3] * 3)
    sampler.update(tensor([2]), tensor([1.0]))
    assert sampler.probabilities().argmax() == 0


def test_probabilities_follow_the_root_of_the_mean_square() -> None:
    sampler = warm([3.0, 1.0])
    sampler.update(tensor([1]), tensor([7.0]))  # one of its two losses: sqrt((1 + 49) / 2) = 5
    assert sampler.probabilities().tolist() == pytest.approx([0.9 * 3 / 8 + 0.05, 0.9 * 5 / 8 + 0.05])


def test_weights_leave_the_mean_that_of_uniform_timesteps() -> None:
    torch.manual_seed(0)
    sampler, values = warm([3.0, 1.0, 0.1]), tensor([1.0, 10.0, 100.0])
    t, weights = sampler.draw(200_000)
    assert (t == 0).float().mean().item() == pytest.approx(sampler.probabilities()[0].item(), abs=0.01)
    assert (values[t] * weights).mean().item() == pytest.approx(37.0, rel=0.02)


def test_a_batch_gives_what_its_losses_give_one_by_one() -> None:
    torch.manual_seed(0)
    t, losses = torch.randint(3, (40,)), torch.rand(40)
    together, alone = LossSecondMoment(3, history=4), LossSecondMoment(3, history=4)
    together.update(t, losses)
    for index in range(40):
        alone.update(t[index : index + 1], losses[index : index + 1])
    assert torch.equal(together.losses, alone.losses)
    assert torch.equal(together.counts, alone.counts)
    last = [losses[t == step][-4:].double().sort().values for step in range(3)]
    assert torch.equal(together.losses.sort(1).values, torch.stack(last))


def test_losses_that_exploded_are_not_kept() -> None:
    sampler, sound = warm([3.0, 1.0]), warm([3.0, 1.0])
    sampler.update(tensor([0, 1, 0, 1]), tensor([torch.nan, 7.0, torch.inf, 7.0]))
    sound.update(tensor([1, 1]), tensor([7.0, 7.0]))
    assert torch.equal(sampler.losses, sound.losses)
    assert torch.equal(sampler.counts, sound.counts)
    assert sampler.draw(4)[1].isfinite().all()


def test_what_it_keeps_is_in_its_state() -> None:
    first, second = warm([3.0, 1.0]), LossSecondMoment(2, history=2, uniform=0.1)
    second.load_state_dict(copy.deepcopy(first.state_dict()))
    assert torch.equal(first.probabilities(), second.probabilities())


def test_losses_of_all_processes_count(monkeypatch: pytest.MonkeyPatch) -> None:
    others = {torch.int64: tensor([1, 1]), torch.float32: tensor([7.0, 7.0])}

    def gather_rows(rows: Tensor) -> Tensor:
        return torch.cat([rows, others[rows.dtype]])

    monkeypatch.setattr(ranks, "gather_rows", gather_rows)
    sampler = LossSecondMoment(2, history=2)
    sampler.update(tensor([0, 0]), tensor([1.0, 1.0]))
    assert sampler.losses.tolist() == [[1.0, 1.0], [7.0, 7.0]]
