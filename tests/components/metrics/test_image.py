"""Image metrics: one value for each sample."""

import math

import pytest
import torch

from artschool.components.metrics.image import psnr, ssim


def test_psnr_matches_its_definition_for_each_sample() -> None:
    real = torch.full((2, 3, 4, 4), 0.5)
    fake = real + torch.tensor([0.1, 0.01]).view(2, 1, 1, 1)
    assert psnr(fake, real).tolist() == pytest.approx([20.0, 40.0], abs=1e-3)  # 10 log10(1 / 0.1^2), ...


def test_psnr_knows_the_range_of_the_data() -> None:
    real, fake = torch.full((1, 1, 2, 2), 100.0), torch.full((1, 1, 2, 2), 125.5)
    assert psnr(fake, real, data_range=255.0).tolist() == pytest.approx([20.0], abs=1e-3)


def test_values_outside_the_range_are_clamped() -> None:
    real, fake = torch.ones(1, 1, 16, 16), torch.full((1, 1, 16, 16), 7.0)
    assert psnr(fake, real).tolist() == [math.inf]
    assert ssim(fake, real).tolist() == pytest.approx([1.0])
    assert fake.max().item() == 7.0


def test_ssim_is_one_for_equal_images_and_matches_the_formula_for_flat_ones() -> None:
    torch.manual_seed(0)
    real = torch.rand(2, 3, 16, 16)
    fake = real.clone()
    real[1], fake[1] = 0.5, 0.25
    # Flat images have neither variance nor covariance: (2 a b + c) / (a^2 + b^2 + c) with c = 0.01^2.
    expected = [1.0, (2 * 0.5 * 0.25 + 1e-4) / (0.5**2 + 0.25**2 + 1e-4)]
    assert ssim(fake, real).tolist() == pytest.approx(expected, abs=1e-4)


def test_one_sample_is_one_value() -> None:
    x = torch.rand(1, 1, 16, 16)
    assert psnr(x, 1 - x).shape == ssim(x, 1 - x).shape == (1,)
