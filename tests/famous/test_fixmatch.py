"""Sohn et al. 2020, arXiv:2001.07685."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from tests.famous.compare import Batches, check_against


def published(networks: Mapping[str, nn.Module], batches: Batches) -> Iterator[Mapping[str, Tensor]]:
    """Algorithm 1, with all points in one pass, as the authors' code; section 2.4: Nesterov, rate, average."""
    net, average = networks["net"], networks["net.ema"]
    optimizer = torch.optim.SGD(net.parameters(), lr=0.3, momentum=0.9, nesterov=True, weight_decay=5e-4)
    for step, batch in enumerate(batches):
        optimizer.param_groups[0]["lr"] = 0.3 * math.cos(7 * math.pi * step / (16 * 20))
        x, u = batch["x"], batch["unlabelled.x"]
        weak, weak_u, strong_u = (v + s * torch.randn_like(v) for v, s in ((x, 0.05), (u, 0.05), (u, 0.4)))
        p, q, strong = net(torch.cat([weak, weak_u, strong_u])).split([len(x), len(u), len(u)])
        labelled = cross_entropy(p, batch["label"])
        confidence, label = q.detach().softmax(1).max(1)
        unlabelled = ((confidence >= 0.6) * cross_entropy(strong, label, reduction="none")).mean()
        optimizer.zero_grad()
        (labelled + unlabelled).backward()
        optimizer.step()
        with torch.no_grad():
            for ours, theirs in zip(average.parameters(), net.parameters(), strict=True):
                ours.lerp_(theirs, 0.1)
            for own, latest in zip(average.buffers(), net.buffers(), strict=True):
                own.copy_(latest)
        yield {"net/labelled": labelled, "net/unlabelled": unlabelled}


@pytest.mark.usefixtures("registries")
def test_fixmatch_trains_as_published(tmp_path: Path) -> None:
    check_against(published, "fixmatch", tmp_path)
