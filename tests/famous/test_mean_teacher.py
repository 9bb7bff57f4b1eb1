"""Tarvainen and Valpola 2017, arXiv:1703.01780."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, mse_loss

from tests.famous.compare import Batches, check_against


def published(networks: Mapping[str, nn.Module], batches: Batches) -> Iterator[Mapping[str, Tensor]]:
    """Section 2, with the ramps of section 3.1 and of the code of the authors."""
    student, teacher = networks["net"], networks["net.ema"]
    optimizer = torch.optim.SGD(student.parameters(), lr=0.1, momentum=0.9, nesterov=True)
    for step, batch in enumerate(batches):
        x = batch["point"]
        seen, taught = x + 0.1 * torch.randn_like(x), x + 0.1 * torch.randn_like(x)
        logits = student(seen)
        with torch.no_grad():
            targets = teacher(taught)
        classes = cross_entropy(logits, batch["label"], ignore_index=-100)
        consistency = mse_loss(logits.softmax(1), targets.softmax(1))
        weight = 10 * math.exp(-5 * (1 - min(step / 15, 1)) ** 2)
        optimizer.zero_grad()
        (classes + weight * consistency).backward()
        optimizer.step()
        decay = min(1 - 1 / (step + 2), 0.9)
        with torch.no_grad():
            for average, parameter in zip(teacher.parameters(), student.parameters(), strict=True):
                average.mul_(decay).add_(parameter, alpha=1 - decay)
        yield {"student/classes": classes, "student/consistency": consistency}


@pytest.mark.usefixtures("registries")
def test_mean_teacher_trains_as_published(tmp_path: Path) -> None:
    check_against(published, "mean_teacher", tmp_path)
