"""Salimans & Ho 2022, arXiv:2202.00512."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from math import cos, pi, sin, tan
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from tests.famous.compare import Batches, check_against


def published(networks: Mapping[str, nn.Module], batches: Batches) -> Iterator[Mapping[str, Tensor]]:
    """Algorithm 2, sample by sample, with 10 iterations for each number of steps: 8, then 4."""
    student, teacher = networks["student"], networks["student.teacher"]
    student.train()
    optimizer = torch.optim.Adam(student.parameters(), lr=1e-3)
    for iteration, batch in enumerate(batches):
        steps = 8 if iteration < 10 else 4
        optimizer.param_groups[0]["lr"] = 1e-3 * (1 - iteration % 10 / 10)
        numbers = torch.randint(1, steps + 1, (8,)).tolist()
        noise = torch.randn(8, 1, 8, 8)
        rows = []
        for number, image, noise_of_image in zip(numbers, batch["image"], noise, strict=True):
            t = number / steps
            z = cos(t * pi / 2) * image + sin(t * pi / 2) * noise_of_image
            after, angle = z, t * pi / 2
            for _ in range(2):
                with torch.no_grad():
                    guess = teacher(after[None], torch.tensor([angle / pi * 2]))[0]
                direction = (after - cos(angle) * guess) / sin(angle)
                angle -= pi / 4 / steps
                after = cos(angle) * guess + sin(angle) * direction
            ratio = sin(angle) / sin(t * pi / 2)
            target = (after - ratio * z) / (cos(angle) - ratio * cos(t * pi / 2))
            rows.append((z, torch.tensor(t), target, torch.tensor(max(1.0, tan(t * pi / 2) ** -2))))
        z, t, target, share = (torch.stack(column) for column in zip(*rows, strict=True))
        loss = ((student(z, t) - target).square().mean((1, 2, 3)) * share).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        if iteration % 10 == 9:
            teacher.load_state_dict(student.state_dict())
        yield {"distill/near": loss}


@pytest.mark.usefixtures("registries")
def test_progressive_distillation_trains_as_published(tmp_path: Path) -> None:
    check_against(published, "progressive", tmp_path)
