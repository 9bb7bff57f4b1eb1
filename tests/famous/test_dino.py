"""Caron et al. 2021, arXiv:2104.14294."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import artschool
from tests.famous.compare import FOLDER, ITERATIONS, Batches, check_against

EPOCH = 8


def published(networks: Mapping[str, nn.Module], batches: Batches) -> Iterator[Mapping[str, Tensor]]:
    """Algorithm 1 with multi-crop, and the schedules of section 3.2 as the code of the authors makes them."""
    names = ("backbone", "prototypes")
    student, teacher = (
        nn.Sequential(*(networks[n] for n in names)),
        nn.Sequential(*(networks[f"{n}.ema"] for n in names)),
    )
    rates = np.concatenate([np.linspace(0, 0.02, 5)[:-1], cosine(0.02, 0.0002, ITERATIONS - 4)])
    decays, momenta = cosine(0.04, 0.4, ITERATIONS), cosine(0.9, 1.0, ITERATIONS)
    temperatures = np.concatenate([np.linspace(0.04, 0.07, 11), np.full(ITERATIONS, 0.07)])
    plain = [p for name, p in student.named_parameters() if name.endswith("bias") or "norm" in name]
    decayed = [p for p in student.parameters() if all(p is not other for other in plain)]
    groups: list[dict[str, Any]] = [{"params": decayed}, {"params": plain, "weight_decay": 0.0}]
    optimizer = torch.optim.AdamW(groups)
    center = torch.zeros(12)
    for iteration, batch in enumerate(batches):
        for group in optimizer.param_groups:
            group["lr"] = rates[iteration]
        optimizer.param_groups[0]["weight_decay"] = decays[iteration]
        with torch.no_grad():
            targets = teacher(batch["wholes"])
        logits = [*student(batch["wholes"]).unbind(1), *student(batch["parts"]).unbind(1)]
        terms = [
            -(((target - center) / temperatures[iteration]).softmax(-1) * (logit / 0.1).log_softmax(-1)).sum(-1).mean()
            for t, target in enumerate(targets.unbind(1))
            for s, logit in enumerate(logits)
            if s != t
        ]
        loss = torch.stack(terms).mean()
        optimizer.zero_grad()
        loss.backward()
        if iteration < EPOCH:  # cancel_gradients_last_layer
            networks["prototypes"].zero_grad()
        optimizer.step()
        center = 0.9 * center + 0.1 * targets.mean((0, 1))
        with torch.no_grad():
            for average, parameter in zip(teacher.parameters(), student.parameters(), strict=True):
                average.mul_(momenta[iteration]).add_((1 - momenta[iteration]) * parameter)
        yield {"student/dino": loss}


def cosine(start: float, end: float, number: int) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    """From `start` to almost `end` along half a cosine."""
    return np.array([end + 0.5 * (start - end) * (1 + math.cos(math.pi * i / number)) for i in range(number)])


@pytest.mark.usefixtures("registries")
def test_dino_trains_as_published(tmp_path: Path) -> None:
    check_against(published, "dino", tmp_path)


@pytest.mark.usefixtures("registries")
def test_the_center_is_kept_in_float32_beside_a_forward_pass_in_bfloat16(tmp_path: Path) -> None:
    options = ["train.iterations=2", "train.device=cpu", "train.precision=bf16"]
    run = artschool.load(FOLDER / "dino.yml", options, run_dir=tmp_path)
    run.train()
    assert run.iteration == 2
    assert run.modules["steps.student.losses.dino"].get_buffer("center").dtype == torch.float32
