"""Foret et al. 2021, arXiv:2010.01412."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from tests.famous.compare import Batches, check_against


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
