"""Total variation, frequencies, and what a latent code should be like."""

from __future__ import annotations

import math

import pytest
import torch
from torch import tensor

from artschool.components.losses.focal_frequency import focal_frequency
from artschool.components.losses.kl_divergence import kl_divergence
from artschool.components.losses.pixel import l2
from artschool.components.losses.total_variation import total_variation
from artschool.components.losses.vector_quantization import vq_codebook, vq_commitment


def test_total_variation_sums_the_steps_down_and_across() -> None:
    x = tensor([[[[0.0, 1.0], [4.0, 4.0]]]])
    assert total_variation(x).item() == (1 + 0 + 4 + 3) / 4
    assert total_variation(torch.ones(2, 3, 4, 5)).item() == 0.0
    assert total_variation(tensor([[2.0]])).item() == 0.0


def test_focal_frequency_without_focus_is_l2() -> None:
    fake, real = torch.rand(2, 3, 5, 4), torch.rand(2, 3, 5, 4)
    torch.testing.assert_close(focal_frequency(fake, real, alpha=0.0), l2(fake, real))


def test_focal_frequency_by_hand() -> None:
    # The spectrum of (3, 1) is (4, 2) / sqrt 2: squares 8 and 2; weights 1 and 1/2, or 1 and 1/4 with alpha 2.
    fake, real = tensor([[[[3.0, 1.0]]]]), torch.zeros(1, 1, 1, 2)
    assert focal_frequency(fake, real).item() == pytest.approx((8 + 1) / 2)
    assert focal_frequency(fake, real, alpha=2.0).item() == pytest.approx((8 + 0.5) / 2)


def test_weights_of_frequencies_are_those_of_each_image_and_channel() -> None:
    fake = torch.rand(2, 2, 4, 4)
    parts = [focal_frequency(fake[i : i + 1, j : j + 1], torch.zeros(1, 1, 4, 4)) for i in range(2) for j in range(2)]
    torch.testing.assert_close(focal_frequency(fake, torch.zeros_like(fake)), torch.stack(parts).mean())


def test_equal_images_have_no_frequency_loss_and_a_gradient_of_zero() -> None:
    fake = torch.rand(1, 1, 4, 4, requires_grad=True)
    value = focal_frequency(fake, fake.detach())
    (gradient,) = torch.autograd.grad(value, fake)
    assert value.item() == 0.0
    assert torch.equal(gradient, torch.zeros_like(gradient))


def test_divergence_of_the_prior_is_0_and_others_are_in_closed_form() -> None:
    zeros = torch.zeros(3, 4)
    assert kl_divergence(zeros, zeros).item() == 0.0
    # Of N(2, 9): (4 + 9 - 1 - ln 9) / 2, in each of four dimensions.
    value = kl_divergence(zeros + 2, zeros + math.log(9))
    assert value.item() == pytest.approx(4 * (4 + 9 - 1 - math.log(9)) / 2)
    one = torch.distributions.Normal(torch.full((), 0.5), torch.full((), 2.0))
    expected = torch.distributions.kl_divergence(one, torch.distributions.Normal(torch.zeros(()), torch.ones(())))
    value = kl_divergence(torch.full((5, 1), 0.5), torch.full((5, 1), math.log(4)))
    torch.testing.assert_close(value, expected)


def test_encoder_and_codebook_learn_apart() -> None:
    encoded, quantized = tensor([1.0, 2.0], requires_grad=True), tensor([0.0, 4.0], requires_grad=True)
    for loss, learns, stays in ((vq_commitment, encoded, quantized), (vq_codebook, quantized, encoded)):
        value = loss(encoded, quantized)
        assert value.item() == 2.5  # mean(1, 4)
        gradients = torch.autograd.grad(value, [learns, stays], allow_unused=True)
        assert torch.equal(gradients[0], (learns - stays).detach())
        assert gradients[1] is None
