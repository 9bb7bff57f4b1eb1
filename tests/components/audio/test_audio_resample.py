"""Resampling, against torchaudio's numbers, tones, and soxr."""

import math
from pathlib import Path

import numpy as np
import pytest
import soxr
import torch
from safetensors.torch import load_file
from torch import Tensor

from artschool.components.audio.resample import AudioResample

OTHERS = load_file(Path(__file__).parent / "others.safetensors")


def chirp() -> Tensor:
    t = torch.arange(800, dtype=torch.float64) / 16000
    wave = 0.5 * torch.sin(2 * math.pi * (200 * t + 6000 * t * t)) + 0.2 * torch.sin(2 * math.pi * 3000 * t)
    return wave.float()


def tone(hertz: float, rate: int) -> Tensor:
    return torch.sin(2 * math.pi * hertz * torch.arange(rate // 4, dtype=torch.float64) / rate).float()


@pytest.mark.parametrize("name", [name for name in OTHERS if "resample" in name])
def test_it_agrees_with_torchaudio(name: str) -> None:
    from_rate, to_rate = map(int, name.split("_")[-2:])
    found = AudioResample(from_rate=from_rate, to_rate=to_rate)(chirp())
    torch.testing.assert_close(found, OTHERS[name], rtol=0, atol=1e-6)


@pytest.mark.parametrize(("from_rate", "to_rate"), [(16000, 22050), (22050, 16000), (16000, 8000), (44100, 16000)])
def test_a_tone_stays_that_tone_and_soxr_says_so_too(from_rate: int, to_rate: int) -> None:
    wave = tone(440.0, from_rate)
    found = AudioResample(from_rate=from_rate, to_rate=to_rate)(wave)
    assert len(found) == math.ceil(len(wave) * to_rate / from_rate)
    middle = slice(len(found) // 4, 3 * len(found) // 4)
    torch.testing.assert_close(found[middle], tone(440.0, to_rate)[middle], rtol=0, atol=5e-4)
    theirs = torch.from_numpy(np.asarray(soxr.resample(wave.numpy(), from_rate, to_rate)))
    torch.testing.assert_close(found[middle], theirs[middle], rtol=0, atol=5e-4)


def test_what_the_new_rate_cannot_carry_is_removed() -> None:
    found = AudioResample(from_rate=16000, to_rate=8000)(tone(6000.0, 16000))
    assert found[500:1500].abs().max() < 2e-3


def test_leading_dimensions_stay_and_an_equal_rate_changes_nothing() -> None:
    wave = torch.randn(2, 3, 100)
    found = AudioResample(from_rate=2, to_rate=3)(wave)
    assert found.shape == (2, 3, 150)
    torch.testing.assert_close(found[1, 2], AudioResample(from_rate=200, to_rate=300)(wave[1, 2]))
    assert AudioResample(from_rate=5, to_rate=5)(wave) is wave
