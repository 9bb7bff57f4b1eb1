"""Song et al. 2023, arXiv:2303.01469."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from tests.famous.compare import Batches, check_against

# Section 3, after Karras et al. 2022: t_i = (eps^(1/rho) + (i - 1)/(N - 1) (T^(1/rho) - eps^(1/rho)))^rho.
TIMES = [(0.002 ** (1 / 7) + i / 17 * (80 ** (1 / 7) - 0.002 ** (1 / 7))) ** 7 for i in range(18)]


def published(networks: Mapping[str, nn.Module], batches: Batches) -> Iterator[Mapping[str, Tensor]]:
    """Algorithm 2: x + t_{n+1} z, one step of the teacher's ODE, and the distance of two networks' answers."""
    teacher, student, target = networks["teacher"], networks["student"], networks["student.ema"]
    optimizer = torch.optim.SGD(student.parameters(), lr=0.05)
    times = torch.tensor(TIMES)
    for batch in batches:
        x = batch["point"]
        n = torch.randint(1, 18, (len(x),)) - 1
        later, earlier = times[n + 1], times[n]
        noisy = x + later[:, None] * torch.randn_like(x)
        with torch.no_grad():
            cleaner = noisy + (earlier - later)[:, None] * (noisy - teacher(noisy, later)) / later[:, None]
            goal = target(cleaner, earlier)
        distance = (student(noisy, later) - goal).square().mean()
        optimizer.zero_grad()
        distance.backward()
        optimizer.step()
        with torch.no_grad():
            for mean, weight in zip(target.parameters(), student.parameters(), strict=True):
                mean.copy_(0.8 * mean + 0.2 * weight)
        yield {"student/distance": distance}


@pytest.mark.usefixtures("registries")
def test_a_consistency_model_is_distilled_as_published(tmp_path: Path) -> None:
    check_against(published, "consistency", tmp_path)
