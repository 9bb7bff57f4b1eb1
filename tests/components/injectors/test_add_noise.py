"""Noise: its size, its distribution, its type."""

import pytest
import torch

from artschool.components.injectors.add_noise import add_noise


def test_normal_noise_has_the_standard_deviation_asked_for() -> None:
    torch.manual_seed(0)
    noise = add_noise(torch.full((100_000,), 5.0), scale=0.1) - 5.0
    assert noise.mean().item() == pytest.approx(0.0, abs=2e-3)
    assert noise.std().item() == pytest.approx(0.1, rel=0.02)


def test_uniform_noise_fills_zero_to_scale() -> None:
    torch.manual_seed(0)
    noise = add_noise(torch.zeros(100_000), scale=2.0, kind="uniform")
    assert noise.min().item() == pytest.approx(0.0, abs=1e-3)
    assert noise.max().item() == pytest.approx(2.0, abs=1e-3)
    assert noise.mean().item() == pytest.approx(1.0, rel=0.02)


def test_a_tensor_scales_each_sample() -> None:
    torch.manual_seed(0)
    noise = add_noise(torch.zeros(2, 50_000), scale=torch.tensor([[0.0], [3.0]]))
    assert noise[0].abs().max().item() == 0.0
    assert noise[1].std().item() == pytest.approx(3.0, rel=0.02)


def test_noise_keeps_the_type_and_the_input() -> None:
    x = torch.zeros(4, dtype=torch.bfloat16)
    assert add_noise(x, scale=torch.tensor(2.0)).dtype == torch.bfloat16
    assert add_noise(x, scale=torch.tensor([2.0])).dtype == torch.bfloat16
    assert x.tolist() == [0.0] * 4
