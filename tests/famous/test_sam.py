"""Foret et al. 2021, arXiv:2010.01412."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

import artschool
from artschool import losses
from tests.famous.compare import FOLDER, Batches, check_against


def published(networks: Mapping[str, nn.Module], batches: Batches) -> Iterator[Mapping[str, Tensor]]:
    """Algorithm 1 with rho = 0.05 and p = 2. The log has the mean of the losses before and after the climb."""
    net = networks["net"]
    optimizer = torch.optim.SGD(net.parameters(), lr=0.05, momentum=0.9)
    for batch in batches:
        weights = [parameter.detach().clone() for parameter in net.parameters()]
        before = cross_entropy(net(batch["image"]), batch["label"])
        gradients = torch.autograd.grad(before, list(net.parameters()))
        norm = torch.cat([gradient.flatten() for gradient in gradients]).norm()
        with torch.no_grad():
            for parameter, gradient in zip(net.parameters(), gradients, strict=True):
                parameter.add_(gradient * 0.05 / norm)
        after = cross_entropy(net(batch["image"]), batch["label"])
        optimizer.zero_grad()
        after.backward()
        with torch.no_grad():
            for parameter, weight in zip(net.parameters(), weights, strict=True):
                parameter.copy_(weight)
        optimizer.step()
        yield {"main/class": (before + after) / 2}


@pytest.mark.usefixtures("registries")
def test_sharpness_aware_minimization_trains_as_published(tmp_path: Path) -> None:
    check_against(published, "sam", tmp_path)


@pytest.mark.usefixtures("registries")
@pytest.mark.parametrize("bad", [1, 2])
def test_a_skipped_call_does_not_leave_the_weights_climbed(bad: int, tmp_path: Path) -> None:
    """Without the climb, an update is a step of SGD. Without the descent, there is none."""
    calls = itertools.count(1)

    @losses.register("spoiled", mean_over="samples")
    def spoil(guess: Tensor) -> Tensor:
        return guess.mean() * (torch.inf if next(calls) == bad else 0.0)

    spoiled = "steps.main.losses.spoiled={type: spoiled, in: guess, weight: 1.0}"
    run = artschool.load(FOLDER / "sam.yml", ["train.iterations=1", "train.device=cpu", spoiled], run_dir=tmp_path)
    net = run.networks["net"].requires_grad_(True)
    batch = next(iter(Batches(run)))
    gradients = torch.autograd.grad(cross_entropy(net(batch["image"]), batch["label"]), list(net.parameters()))
    rate = 0.05 if bad == 1 else 0.0
    expected = [p.detach() - rate * gradient for p, gradient in zip(net.parameters(), gradients, strict=True)]
    run = artschool.load(FOLDER / "sam.yml", ["train.iterations=1", "train.device=cpu", spoiled], run_dir=tmp_path)
    run.train()
    torch.testing.assert_close(list(run.networks["net"].parameters()), expected, rtol=0, atol=1e-7)
