"""Structural similarity as a loss."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor
from torchmetrics.functional.image import structural_similarity_index_measure

from artschool.components.losses.ssim import SCALE_WEIGHTS, ms_ssim, ssim
from artschool.errors import ConfigError


def pictures(size: int, noise: float = 0.2) -> tuple[Tensor, Tensor]:
    torch.manual_seed(0)
    real = torch.rand(2, 3, size, size + 3)
    return (real + noise * torch.randn_like(real)).clamp(0, 1), real


def torchmetrics_inside(fake: Tensor, real: Tensor, data_range: float) -> Tensor:
    """Similarity of each sample where the window fits in; torchmetrics counts the mirrored border too."""
    _, full = structural_similarity_index_measure(fake, real, data_range=data_range, return_full_image=True)
    return full[..., 5:-5, 5:-5].mean((1, 2, 3))


@pytest.mark.parametrize("data_range", [1.0, 255.0])
def test_ssim_is_one_less_what_torchmetrics_gives_inside(data_range: float) -> None:
    fake, real = (picture * data_range for picture in pictures(16))
    expected = torchmetrics_inside(fake, real, data_range).mean()
    torch.testing.assert_close(ssim(fake, real, data_range=data_range), 1 - expected, rtol=1e-5, atol=1e-5)


def test_ms_ssim_is_one_less_the_product_of_what_torchmetrics_gives_inside() -> None:
    fake, real = one, other = pictures(180)
    expected = torch.ones(2)
    for exponent in SCALE_WEIGHTS[:-1]:
        _, contrast = structural_similarity_index_measure(
            fake, real, data_range=1.0, reduction="none", return_contrast_sensitivity=True
        )
        expected = expected * contrast**exponent
        fake, real = (torch.nn.functional.avg_pool2d(picture, 2) for picture in (fake, real))
    expected = expected * torchmetrics_inside(fake, real, 1.0) ** SCALE_WEIGHTS[-1]
    torch.testing.assert_close(ms_ssim(one, other), 1 - expected.mean(), rtol=1e-5, atol=1e-5)


def test_equal_images_cost_nothing_and_constants_only_their_luminance() -> None:
    _, real = pictures(12)
    assert abs(ssim(real, real).item()) < 1e-6
    one, other = torch.full((1, 1, 11, 11), 0.2), torch.full((1, 1, 11, 11), 0.6)
    luminance = (2 * 0.2 * 0.6 + 1e-4) / (0.2**2 + 0.6**2 + 1e-4)
    assert ssim(one, other).item() == pytest.approx(1 - luminance, abs=1e-4)


def test_opposed_images_have_a_finite_gradient() -> None:
    fake, real = torch.rand(1, 1, 8, 8, requires_grad=True), torch.rand(1, 1, 8, 8)
    value = ms_ssim(fake, 1 - fake.detach(), window=3, scale_weights=[0.5, 0.5])
    (gradient,) = torch.autograd.grad(value, fake)
    assert value.item() > 0.99
    assert gradient.isfinite().all()
    assert ssim(fake, real, window=3).requires_grad


def test_half_precision_is_not_blurred_in_half_precision() -> None:
    fake, real = pictures(16, noise=0.02)
    with torch.autocast("cpu", torch.bfloat16):
        inside = ssim(fake, real)
    torch.testing.assert_close(inside, ssim(fake, real))


@pytest.mark.parametrize("loss", [ssim, ms_ssim])
def test_images_smaller_than_the_window_are_refused(loss: Callable[[Tensor, Tensor], Tensor]) -> None:
    small = torch.zeros(1, 1, 20, 10)
    with pytest.raises(ConfigError, match=r"^images of \(20, 10\) pixels are smaller than the window of 11$"):
        loss(small, small)
