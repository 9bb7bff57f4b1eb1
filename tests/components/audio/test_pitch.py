"""Pitch by YIN, on signals whose pitch is known."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from artschool.components.audio.mel import MelSpectrogram
from artschool.components.audio.pitch import Pitch
from artschool.errors import ConfigError

RATE = 16000


def tone(frequency: float, overtones: tuple[float, ...] = ()) -> Tensor:
    """(1, 8000): a sine, and its multiples with these amplitudes."""
    t = torch.arange(RATE // 2, dtype=torch.float64) / RATE
    waves = [a * torch.sin(2 * math.pi * frequency * n * t + n) for n, a in enumerate((1.0, *overtones), start=1)]
    return 0.2 * torch.stack(waves).sum(0).float()[None]


@pytest.mark.parametrize("frequency", [70.0, 110.0, 219.3, 440.0, 700.0])
@pytest.mark.parametrize("overtones", [(), (0.7, 0.5), (2.0,)])
def test_a_tone_has_the_frequency_of_its_period(frequency: float, overtones: tuple[float, ...]) -> None:
    frequencies, voiced = Pitch(sample_rate=RATE)(tone(frequency, overtones))
    middle = slice(4, -4)
    assert voiced[:, middle].all()
    torch.testing.assert_close(frequencies[:, middle], torch.full_like(voiced, frequency)[:, middle], rtol=3e-3, atol=0)


def test_a_gliding_tone_is_followed() -> None:
    """The phase of a tone from 200 to 300 Hz is `2 pi (200 t + 50 t^2 / d)`."""
    t = torch.arange(RATE) / RATE
    audio = torch.sin(2 * math.pi * (200 * t + 50 * t.square()))[None]
    frequencies, voiced = Pitch(sample_rate=RATE, hop_length=400)(audio)
    expected = 200 + 100 * torch.arange(41) * 400 / RATE
    assert voiced[0, 2:-2].all()
    torch.testing.assert_close(frequencies[0, 2:-2], expected[2:-2], rtol=0, atol=2.0)


def test_silence_and_noise_have_no_pitch() -> None:
    torch.manual_seed(0)
    for audio in (torch.zeros(2, 1, 4000), torch.full((1, 4000), 0.3), torch.randn(2, 4000)):
        frequencies, voiced = Pitch(sample_rate=RATE)(audio)
        assert not voiced.any() and not frequencies.any()


def test_the_threshold_decides_what_is_voiced() -> None:
    torch.manual_seed(0)
    noisy = tone(200.0) + 0.08 * torch.randn(1, RATE // 2)
    shares = [Pitch(sample_rate=RATE, threshold=threshold)(noisy)[1].mean().item() for threshold in (0.02, 0.5)]
    assert shares == [0.0, 1.0]


def test_frames_are_those_of_the_spectrogram_and_samples_do_not_meet() -> None:
    audio = torch.cat([tone(150.0), tone(300.0)])
    frequencies, _ = Pitch(sample_rate=RATE)(audio)
    assert frequencies.shape == (2, MelSpectrogram(sample_rate=RATE)(audio).shape[2])
    for alone, together in zip(audio, frequencies, strict=True):
        torch.testing.assert_close(Pitch(sample_rate=RATE)(alone[None])[0][0], together)


def test_what_does_not_fit_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"^pitch: expected f_min < f_max <= 4000 Hz, a quarter of sample_rate; got"):
        Pitch(sample_rate=RATE, f_max=5000.0)
    with pytest.raises(ConfigError, match=r"of more than 268 samples, got \(1, 2, 4000\)$"):
        Pitch(sample_rate=RATE)(torch.zeros(1, 2, 4000))
    with pytest.raises(ConfigError, match=r"of more than 268 samples, got \(1, 268\)$"):
        Pitch(sample_rate=RATE)(torch.zeros(1, 268))
