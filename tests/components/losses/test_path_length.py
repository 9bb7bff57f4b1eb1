"""Path length regularisation."""

from __future__ import annotations

import copy
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from artschool import ranks
from artschool.components.losses.path_length import PathLength
from artschool.errors import ConfigError


def at(iteration: int) -> Any:
    return SimpleNamespace(iteration=iteration)


def pixels(styles: Tensor, factor: float | Tensor) -> Tensor:
    """Images (B, 1, 1, 1) of `factor` times the only number of a style: every path has the length factor * |noise|."""
    return (styles * factor).view(-1, 1, 1, 1)


def call(module: PathLength, iteration: int, factor: float | Tensor, batch: int = 4) -> Tensor:
    """The loss with noise of 1 everywhere, so that every path has the length `factor`."""
    styles = torch.zeros(batch, 1, requires_grad=True)
    value: Tensor = module(styles, pixels(styles, factor), at(iteration))
    return value


@pytest.fixture(autouse=True)
def unit_noise(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch, "randn_like", torch.ones_like)


def test_paths_are_compared_with_the_average_of_the_iterations_before() -> None:
    module = PathLength(decay=0.75)
    assert call(module, 0, 2.0).item() == 0.0  # nothing to compare with
    assert call(module, 1, 3.0).item() == (3 - 2) ** 2
    # 0.75 * 2 + 0.25 * 3
    assert call(module, 2, 5.0).item() == (5 - 2.25) ** 2
    assert module.average.item() == 2.25


def test_the_generator_learns() -> None:
    module = PathLength(decay=0.5)
    call(module, 0, 2.0)
    factor = nn.Parameter(torch.tensor(3.0))
    torch.autograd.backward(call(module, 1, factor))
    assert factor.grad is not None and factor.grad.item() == 2 * (3 - 2)
    first = nn.Parameter(torch.tensor(3.0))
    torch.autograd.backward(call(PathLength(), 0, first))
    assert first.grad is not None and first.grad.item() == 0.0


def test_micro_batches_are_one_batch() -> None:
    whole, parts = PathLength(decay=0.5), PathLength(decay=0.5)
    for iteration, lengths in enumerate([(1.0, 2.0, 6.0), (2.0, 3.0, 4.0), (4.0, 4.0, 5.0)]):
        factor = torch.tensor(lengths)[:, None]
        at_once = call(whole, iteration, factor, batch=3)
        # Of sizes 1 and 2: a mean weighted by samples.
        cut = call(parts, iteration, factor[:1], batch=1) / 3 + call(parts, iteration, factor[1:], batch=2) * 2 / 3
        torch.testing.assert_close(cut, at_once)
    torch.testing.assert_close(parts.average, whole.average)


def test_another_process_starts_where_a_checkpoint_stands() -> None:
    going, resumed = PathLength(decay=0.5), PathLength(decay=0.5)
    call(going, 0, 2.0)
    call(going, 1, 4.0)
    resumed.load_state_dict(copy.deepcopy(going.state_dict()))
    assert torch.equal(call(resumed, 2, 7.0), call(going, 2, 7.0))
    assert resumed.average.item() == 3.0


def test_processes_share_their_lengths(monkeypatch: pytest.MonkeyPatch) -> None:
    # The other process has one path of length 8 where this one has three of length 4.
    monkeypatch.setattr(ranks, "mean", lambda value: (value + torch.tensor([8.0, 1.0])) / 2)
    module = PathLength()
    call(module, 0, 4.0, batch=3)
    assert call(module, 1, 5.0).item() == 0.0  # (3 * 4 + 8) / 4


def test_an_explosion_does_not_stay() -> None:
    module = PathLength(decay=0.5)
    for iteration, factor in enumerate([2.0, float("inf"), 4.0]):
        call(module, iteration, factor)
    assert module.average.item() == 2.0


def test_a_style_for_each_layer_counts_by_root_mean_square() -> None:
    module = PathLength()
    # Two images of four pixels, each the sum of two styles of two numbers, with factors that differ by layer.
    styles = torch.zeros(2, 2, 2, requires_grad=True)
    factors = torch.tensor([[3.0, 4.0], [0.0, 1.0]])
    images = (styles * factors).sum((1, 2)).view(2, 1, 1, 1).expand(2, 1, 2, 2)
    module(styles, images, at(0))
    # The noise of 1/2 on each of four pixels makes gradients of 2 * factors; layers have the norms 10 and 2.
    assert module.pending.tolist() == pytest.approx([2 * ((100 + 4) / 2) ** 0.5, 2])


def test_without_gradients_nothing_is_compared() -> None:
    module = PathLength()
    styles = torch.zeros(4, 1)
    assert module(styles, pixels(styles, 2.0), at(0)).item() == 0.0
    assert module.pending.tolist() == [0.0, 0.0]


def test_images_of_other_styles_are_refused() -> None:
    images = torch.zeros(2, 1, 1, 1, requires_grad=True)
    for styles in (torch.zeros(2, 1), torch.zeros(2, 1, requires_grad=True)):
        with pytest.raises(ConfigError, match=r"^path_length: images do not depend on styles\. Fix: take both from"):
            PathLength()(styles, images, at(0))
