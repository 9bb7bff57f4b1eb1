"""LAMB and LARS give the numbers of pytorch-optimizer 4.1, which were recorded with the same weights and gradients."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch.optim import Optimizer

from artschool.components.optimizers.lamb import LAMB
from artschool.components.optimizers.lars import LARS

# fmt: off
# `Lamb(lr=0.02, betas=(0.9, 0.99), eps=1e-6, adam_debias=True)`, which is its way to say: no bias correction.
LAMB_WEIGHTS = [0.651568, 0.27314, 0.11088, 0.69684, -0.433418, -0.225699, -1.438438, 0.342831, -0.942695,
                -0.535392, -0.807997, -0.146532, -0.206453, -0.987902, 0.509769]
# `LARS(lr=0.02, momentum=0.9, weight_decay=0.1, trust_coefficient=0.01)`; it leaves vectors alone, so the matrix only.
LARS_WEIGHTS = [0.661413, 0.266759, 0.061992, 0.622762, -0.451736, -0.167284, -1.520578, 0.381377, -1.025865,
                -0.562765, -0.890984, -0.059378]
# fmt: on


def after_five_steps(make: Callable[[list[torch.nn.Parameter]], Optimizer]) -> list[float]:
    generator = torch.Generator().manual_seed(1)
    params = [torch.nn.Parameter(torch.randn(shape, generator=generator)) for shape in [(4, 3), (3,)]]
    optimizer = make(params)
    for _ in range(5):
        for param in params:
            param.grad = param.detach() * 0.5 + torch.randn(param.shape, generator=generator)
        optimizer.step()
    return torch.cat([param.detach().flatten() for param in params]).tolist()


def test_lamb_matches() -> None:
    weights = after_five_steps(lambda params: LAMB(params, lr=0.02, betas=(0.9, 0.99), eps=1e-6))
    assert weights == pytest.approx(LAMB_WEIGHTS, abs=2e-6)


def test_lars_matches() -> None:
    options = {"lr": 0.02, "momentum": 0.9, "weight_decay": 0.1, "trust_coefficient": 0.01, "clip": False, "eps": 0.0}
    weights = after_five_steps(lambda params: LARS(params, **options))  # type: ignore[arg-type]  # floats and a bool
    assert weights[:12] == pytest.approx(LARS_WEIGHTS, abs=2e-6)
