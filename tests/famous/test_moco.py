"""He et al. 2020, arXiv:1911.05722."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from tests.famous.compare import Batches, check_against


def published(networks: Mapping[str, nn.Module], batches: Batches) -> Iterator[Mapping[str, Tensor]]:
    """Algorithm 1, with a momentum of 0.9 and a temperature of 0.07."""
    query_encoder, key_encoder = networks["encoder"], networks["encoder.ema"]
    queue = networks["steps.moco.injectors.negatives"].get_buffer("rows")
    optimizer = torch.optim.SGD(query_encoder.parameters(), lr=0.03, momentum=0.9, weight_decay=1e-4)
    schedule = torch.optim.lr_scheduler.MultiStepLR(optimizer, [12], 0.1)
    for batch in batches:
        wave = batch["wave"]
        query_view, key_view = wave + 0.1 * torch.randn_like(wave), wave + 0.1 * torch.randn_like(wave)
        query = query_encoder(query_view)
        key = key_encoder(key_view).detach()
        positive = (query * key).sum(1, keepdim=True)
        logits = torch.cat([positive, query @ queue.T], 1) / 0.07
        loss = cross_entropy(logits, torch.zeros(len(query), dtype=torch.int64))

        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
        with torch.no_grad():
            for own, other in zip(key_encoder.parameters(), query_encoder.parameters(), strict=True):
                own.copy_(0.9 * own + 0.1 * other)
        queue = torch.cat([queue, key])[-len(queue) :]
        yield {"moco/info_nce": loss}


@pytest.mark.usefixtures("registries")
def test_moco_trains_as_published(tmp_path: Path) -> None:
    check_against(published, "moco", tmp_path)
