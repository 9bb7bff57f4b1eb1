"""Kendall, Gal and Cipolla 2018, arXiv:1705.07115."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, mse_loss

from tests.famous.compare import Batches, check_against


def published(networks: Mapping[str, nn.Module], batches: Batches) -> Iterator[Mapping[str, Tensor]]:
    """Eq. 7 and 10 for a regression and a classification, with s = log sigma^2 as section 3.2 proposes."""
    net, s = networks["net"], networks["log_variances"].get_parameter("values")
    optimizer = torch.optim.Adam([*net.parameters(), s], lr=0.01)
    for batch in batches:
        prediction, logits = net(batch["x"])
        regression, classification = mse_loss(prediction, batch["target"]), cross_entropy(logits, batch["label"])
        sigma = torch.exp(s / 2)
        loss = regression / (2 * sigma[0] ** 2) + classification / sigma[1] ** 2 + sigma.log().sum()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        yield {"tasks/regression": regression, "tasks/classification": classification, "tasks/both": loss}


@pytest.mark.usefixtures("registries")
def test_uncertainty_weighting_trains_as_published(tmp_path: Path) -> None:
    check_against(published, "uncertainty", tmp_path)
