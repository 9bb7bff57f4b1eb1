"""Likelihood under a flow."""

import math

import pytest
import torch
from torch import tensor

from artschool.components.metrics.flow_nll import flow_nll
from artschool.errors import ConfigError


def test_it_is_the_density_of_a_scaled_normal() -> None:
    # x ~ N(0, 3^2) by z = x / 3, in two dimensions: log |dz/dx| = -2 log 3.
    x = torch.randn(5, 2)
    density = torch.distributions.Normal(0.0, 3.0).log_prob(x).sum(1)  # type: ignore[no-untyped-call]  # torch's
    found = flow_nll(x / 3, torch.full((5,), -2 * math.log(3)))
    torch.testing.assert_close(found, -density / (2 * math.log(2)))


def test_levels_count_the_bits_of_pixels() -> None:
    # Uniform over 0..1 has density 1: eight bits a pixel of 256 levels.
    z = torch.zeros(1, 4)
    log_det = tensor([4 * 0.5 * math.log(2 * math.pi)])
    assert flow_nll(z, log_det).item() == pytest.approx(0, abs=1e-6)
    assert flow_nll(z, log_det, levels=256).item() == pytest.approx(8)


def test_a_log_det_that_would_broadcast_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"^flow_nll: expected log_det of shape \(5,\), got \(5, 1\)$"):
        flow_nll(torch.zeros(5, 2), torch.zeros(5, 1))
