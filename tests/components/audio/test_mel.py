"""Mel spectrograms, also against what librosa and torchaudio compute."""

import math
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from artschool.components.audio.mel import MelSpectrogram, mel_basis
from artschool.errors import CheckpointError, ConfigError

OTHERS = load_file(Path(__file__).parent / "others.safetensors")


def chirp() -> Tensor:
    t = torch.arange(4000, dtype=torch.float64) / 16000
    wave = 0.5 * torch.sin(2 * math.pi * (200 * t + 6000 * t * t)) + 0.2 * torch.sin(2 * math.pi * 3000 * t)
    return wave.float()


def small(power: int = 1, mel_scale: str = "slaney", normalized: bool = False) -> MelSpectrogram:
    return MelSpectrogram(
        sample_rate=16000,
        n_fft=512,
        win_length=400,
        hop_length=160,
        n_mels=40,
        f_min=50.0,
        f_max=7600.0,
        power=power,  # type: ignore[arg-type]  # 1 or 2
        mel_scale=mel_scale,  # type: ignore[arg-type]  # slaney or htk
        normalized=normalized,
    )


@pytest.mark.parametrize(
    ("name", "mel"),
    [
        ("librosa_mel_slaney", small()),
        ("librosa_mel_htk", small(2, "htk")),
        ("torchaudio_mel", small(2, "htk")),
        ("torchaudio_mel_normalized", small(2, "htk", normalized=True)),
    ],
)
def test_spectrograms_agree_with_other_programs(name: str, mel: MelSpectrogram) -> None:
    found = mel(chirp()[None])[0, :, ::5]
    torch.testing.assert_close(found.exp(), OTHERS[name].exp(), rtol=2e-5, atol=5e-7)


def test_the_basis_agrees_with_librosas() -> None:
    basis = mel_basis(22050, 1024, 80, 0.0, 8000.0, "slaney")
    torch.testing.assert_close(basis.sum(0), OTHERS["librosa_basis"], rtol=1e-5, atol=1e-8)


def test_every_band_has_the_same_area() -> None:
    basis = mel_basis(16000, 4096, 20, 100.0, 7000.0, "htk")
    torch.testing.assert_close(basis.sum(1) * (16000 / 4096), torch.ones(20), rtol=1e-2, atol=0)


def test_a_tone_is_loudest_in_its_band_and_a_channel_of_one_is_dropped() -> None:
    # Slaney's scale is linear up to 1000 Hz: 15 mels, so 14 bands have their tops at 66.67, 133.3, ... Hz.
    mel = MelSpectrogram(sample_rate=8000, n_fft=1024, n_mels=14, f_max=1000.0)
    tone = torch.sin(2 * math.pi * 400 * torch.arange(8000) / 8000)
    found = mel(tone.view(1, 1, -1))
    assert found.shape == (1, 14, 1 + 8000 // 256)
    assert set(found[0, :, 4:-4].argmax(0).tolist()) == {5}
    assert torch.equal(found, mel(tone[None]))


def test_silence_is_the_logarithm_of_the_floor_and_has_a_gradient() -> None:
    silence = torch.zeros(2, 2048, requires_grad=True)
    found = MelSpectrogram()(silence)
    assert torch.equal(found, torch.full((2, 80, 9), math.log(1e-5)))
    (gradient,) = torch.autograd.grad(found.sum(), silence)
    assert torch.equal(gradient, torch.zeros(2, 2048))


def test_half_precision_is_computed_in_float32() -> None:
    audio = chirp()[None].bfloat16()
    with torch.autocast("cpu", torch.bfloat16):
        found = small()(audio)
    assert torch.equal(found, small()(audio.float()))


def test_norms_divide_each_band(tmp_path: Path) -> None:
    norms = torch.arange(1, 81, dtype=torch.float64)
    torch.save(norms, tmp_path / "norms.pth")
    save_file({"any_name": norms}, tmp_path / "norms.safetensors")
    audio = torch.randn(1, 2048)
    for file in ("norms.pth", "norms.safetensors"):
        found = MelSpectrogram(norms=tmp_path / file)(audio)
        torch.testing.assert_close(found, MelSpectrogram()(audio) / norms.float()[:, None])


def test_wrong_norms_are_told(tmp_path: Path) -> None:
    torch.save(torch.ones(64), tmp_path / "norms.pth")
    with pytest.raises(
        CheckpointError, match=r"norms\.pth: expected 80 bands, got 64\. Fix: compute the numbers from "
    ):
        MelSpectrogram(norms=tmp_path / "norms.pth")
    with pytest.raises(CheckpointError, match=r"none\.pth: file does not exist$"):
        MelSpectrogram(norms=tmp_path / "none.pth")


def test_what_contradicts_itself_is_told() -> None:
    with pytest.raises(ConfigError, match=r"^mel_spectrogram: win_length: expected at most n_fft 512, got 1024$"):
        MelSpectrogram(n_fft=512)
    with pytest.raises(ConfigError, match=r"f_max <= 4000 Hz, half of sample_rate; got f_min 0 and f_max 8000$"):
        MelSpectrogram(sample_rate=8000)
    with pytest.raises(ConfigError, match=r"of 80 bands contain no frequency\. Fix: lower n_mels or raise n_fft$"):
        MelSpectrogram(n_fft=128, win_length=128)
    with pytest.raises(ConfigError, match=r"or \(B, 1, T\), got \(1, 2, 2048\)\. Fix: average the channels first$"):
        MelSpectrogram()(torch.zeros(1, 2, 2048))
