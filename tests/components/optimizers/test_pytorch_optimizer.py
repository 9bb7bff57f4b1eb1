"""The adapter of pytorch-optimizer: what it hands on and refuses; with the package itself where that is installed."""

from __future__ import annotations

import sys
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch.optim import Optimizer

from artschool.components.optimizers.pytorch_optimizer import pytorch_optimizer
from artschool.errors import ResourceError


class Lion(Optimizer):
    """Stands in for that of the package: takes what it does not know, as that does."""

    def __init__(self, params: Any, lr: float = 1e-4, betas: tuple[float, float] = (0.9, 0.99), **kwargs: Any) -> None:
        super().__init__(params, {"lr": lr, "betas": betas, **kwargs})

    def step(self, closure: Callable[[], float] | None = None) -> None:  # type: ignore[override]  # nothing to return
        """Nothing."""


@pytest.fixture
def package(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pytorch_optimizer", SimpleNamespace(load_optimizer={"lion": Lion}.__getitem__))


def parameter() -> torch.nn.Parameter:
    return torch.nn.Parameter(torch.tensor([1.0, -2.0]))


def test_options_reach_the_optimizer_and_defaults_stay(package: None) -> None:
    optimizer = pytorch_optimizer([parameter()], name="lion", options={"betas": [0.5, 0.6]})
    assert optimizer.defaults == {"lr": 1e-4, "betas": [0.5, 0.6]}
    assert pytorch_optimizer([parameter()], name="lion", lr=0.1).defaults["lr"] == 0.1


def test_an_option_that_it_would_ignore_is_refused(package: None) -> None:
    with pytest.raises(
        ValueError, match=r"^unknown option 'beta' of lion\. Available options: betas, lr\. Did you mean 'betas'\?$"
    ):
        pytorch_optimizer([parameter()], name="lion", options={"beta": 1})


def test_a_missing_package_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pytorch_optimizer", None)
    with pytest.raises(
        ResourceError, match=r"^optimizer 'lion' requires pytorch-optimizer, which is not installed\. Fix: pip install"
    ):
        pytorch_optimizer([parameter()], name="lion")


def test_lion_of_the_package_moves_by_signs() -> None:
    pytest.importorskip("pytorch_optimizer")
    weights = parameter()
    optimizer = pytorch_optimizer([weights], name="lion", lr=0.1, weight_decay=0.5, options={"betas": [0.9, 0.99]})
    weights.grad = torch.tensor([3.0, -7.0])
    optimizer.step()
    # Chen et al. 2023, algorithm 2: w - lr (sign(c) + decay w).
    assert weights.tolist() == pytest.approx([1 - 0.1 * (1 + 0.5), -2 - 0.1 * (-1 - 1.0)])
