"""The multi-resolution STFT loss."""

import math

import pytest
import torch

from artschool.components.audio.stft_loss import MultiResolutionStft
from artschool.errors import ConfigError


def test_equal_waves_are_at_no_distance_and_half_the_loudness_is_a_half_and_a_log_2() -> None:
    torch.manual_seed(0)
    loss, real = MultiResolutionStft(), torch.randn(2, 1, 4000)
    assert loss(real, real).item() == 0.0
    # Every magnitude is halved: ||S - S / 2|| / ||S|| = 1 / 2, and |log S - log S / 2| = log 2.
    assert loss(real / 2, real).item() == pytest.approx(0.5 + math.log(2), abs=1e-5)


def test_it_is_the_mean_over_samples_and_over_resolutions() -> None:
    torch.manual_seed(0)
    fake, real = torch.randn(2, 400), torch.randn(2, 400)
    first, second = [64, 16, 48], [32, 8, 32]
    both = MultiResolutionStft(resolutions=[first, second])(fake, real)
    alone = [
        MultiResolutionStft(resolutions=[resolution])(fake[i : i + 1], real[i : i + 1])
        for resolution in (first, second)
        for i in range(2)
    ]
    torch.testing.assert_close(both, torch.stack(alone).mean())


def test_one_resolution_matches_its_formula() -> None:
    torch.manual_seed(0)
    fake, real = torch.randn(1, 64, dtype=torch.float64), torch.randn(1, 64, dtype=torch.float64)
    loss = MultiResolutionStft(resolutions=[[8, 8, 8]]).double()
    frames = []
    for wave in (fake[0], real[0]):
        padded = torch.cat([wave[1:5].flip(0), wave, wave[-5:-1].flip(0)])
        turned = [padded[start : start + 8] * torch.hann_window(8, dtype=torch.float64) for start in range(0, 65, 8)]
        basis = torch.exp(-2j * math.pi * torch.arange(5)[:, None] * torch.arange(8) / 8).to(torch.complex128)
        frames.append(torch.stack([(basis @ frame.to(torch.complex128)).abs() for frame in turned]))
    r, s = frames
    by_hand = (s - r).square().sum().sqrt() / s.square().sum().sqrt() + (s.log() - r.log()).abs().mean()
    torch.testing.assert_close(loss(fake, real), by_hand, rtol=1e-6, atol=0)


def test_silence_has_a_finite_value_and_gradient() -> None:
    silence, real = torch.zeros(1, 4000, requires_grad=True), torch.zeros(1, 4000)
    value = MultiResolutionStft()(silence, real)
    assert value.item() == 0.0
    (gradient,) = torch.autograd.grad(MultiResolutionStft()(silence, torch.randn(1, 4000)), silence)
    assert gradient.isfinite().all()


def test_what_cannot_be_compared_is_told() -> None:
    with pytest.raises(ConfigError, match=r"but fake is \(1, 9\) and real is \(1, 8\)$"):
        MultiResolutionStft()(torch.zeros(1, 9), torch.zeros(1, 8))
    with pytest.raises(ConfigError, match=r"resolutions\.0: expected a win_length of at most n_fft 8, got 16$"):
        MultiResolutionStft(resolutions=[[8, 4, 16]])
