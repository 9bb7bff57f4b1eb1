"""Examples of injectors and losses of audio."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from tests.components.examples.example import Example

SMALL_MEL = "sample_rate: 100, n_fft: 16, win_length: 12, hop_length: 4, n_mels: 3, f_max: 50.0"
STATS = Path(__file__).parents[1] / "audio" / "stats.safetensors"


def waves(batch: int) -> dict[str, Any]:
    """`a`, `b`: (B, 1, 24); `lengths`: (B,), 24 in the first and less in the others; `codes`: (B, 6)."""
    lengths = 24 - 5 * torch.arange(batch)
    codes = torch.arange(6).repeat(batch, 1)
    return {"a": torch.randn(batch, 1, 24), "b": torch.randn(batch, 1, 24), "lengths": lengths, "codes": codes}


def mels(batch: int) -> dict[str, Any]:
    """`mel`: (B, 4, 6); `mel_lengths`, `text_lengths`: (B,); `text`: (B, 3)."""
    text = torch.randint(1, 9, (batch, 3))
    mel_lengths, text_lengths = 6 - torch.arange(batch), 3 - torch.arange(batch)
    return {"mel": torch.randn(batch, 4, 6), "mel_lengths": mel_lengths, "text": text, "text_lengths": text_lengths}


def frames(batch: int) -> dict[str, Any]:
    """`logits`: (B, 7, 5); `logit_lengths`: (B,); `tokens`: (B, 2), in 1..4; `token_lengths`: (B,)."""
    return {
        "logits": torch.randn(batch, 7, 5),
        "logit_lengths": 7 - torch.arange(batch),
        "tokens": torch.tensor([[2, 2]]).repeat(batch, 1),
        "token_lengths": 2 - torch.arange(batch) % 2,
    }


def synthesized(batch: int) -> dict[str, Any]:
    """`mel`, `post`, `target`: (B, 3, 4); `gate`, `end`: (B, 4)."""
    values = {name: torch.randn(batch, 3, 4) for name in ("mel", "post", "target")}
    return values | {"gate": torch.randn(batch, 4), "end": (torch.rand(batch, 4) > 0.5).float()}


def spoken(batch: int) -> dict[str, Any]:
    """`wav`: (B, 24); `clips`: (B, 2, 24); `text`: (B, 3); `lengths`: (B,)."""
    lengths = torch.full((batch,), 3)
    text = torch.ones(batch, 3, dtype=torch.long)
    return {"wav": torch.randn(batch, 24), "clips": torch.randn(batch, 2, 24), "text": text, "lengths": lengths}


class Coder(nn.Module):
    """The loudest band of each frame."""

    def get_codebook_indices(self, mel: Tensor) -> Tensor:
        return mel.argmax(1)


class Speaker(nn.Module):
    """Sums all that it is given."""

    def forward(
        self, clips: Tensor, text: Tensor, text_lengths: Tensor, codes: Tensor, audio_lengths: Tensor, **_: Any
    ) -> Tensor:
        return clips.flatten(1).sum(1) + text.sum(1) + text_lengths + codes.sum(1) + audio_lengths


EXAMPLES = [
    Example("injectors", "{type: audio_clip, in: [a, codes], out: [c, d], clip_size: 16}", waves),
    Example("injectors", "{type: audio_resample, in: a, out: c, from_rate: 4, to_rate: 6}", waves),
    Example("injectors", "{type: audio_resample, in: a, out: c, from_rate: 2, to_rate: 2}", waves),
    Example("injectors", "{type: audio_unshuffle, in: a, out: c, compression: 4}", waves),
    Example("injectors", "{type: combine_mel, in: [mel, mel_lengths, text, text_lengths], out: [m, l, t, n]}", mels),
    Example(
        "injectors",
        "{type: combine_mel, in: [mel, mel_lengths, text, text_lengths], out: [m, _, t, _], separator: 9}",
        mels,
    ),
    Example(
        "injectors",
        "{type: ctc_decode, in: [logits, logit_lengths], out: text, alphabet: abcd}",
        frames,
        differentiable=(),
        exempt={"seeded": "it writes text", "meta": "text is read back from the device"},
    ),
    Example("injectors", f"{{type: frequency_bin_normalize, in: mel, out: m, stats: {STATS}}}", mels),
    Example("injectors", "{type: mel_mask, in: mel, out: m, frequency_size: 3, time_count: 1}", mels),
    Example("injectors", f"{{type: mel_spectrogram, in: a, out: m, {SMALL_MEL}}}", waves),
    Example("injectors", f"{{type: mel_spectrogram, in: a, out: m, {SMALL_MEL}, power: 2, normalized: true}}", waves),
    Example(
        "injectors",
        "{type: pitch, in: a, out: [f, v], sample_rate: 100, hop_length: 4, f_min: 6.0, f_max: 25.0}",
        waves,
        differentiable=(),
    ),
    Example("injectors", "{type: random_audio_crop, in: [a, lengths], out: [c, start], crop_size: 8}", waves),
    Example("injectors", "{type: random_audio_crop, in: a, out: [c, _], crop_size: [8, 12]}", waves),
    Example(
        "injectors",
        "{type: voice_latents, coder: coder, speaker: speaker, in: [wav, clips, text, lengths, lengths], out: latents, "
        f"mel: {{type: mel_spectrogram, {SMALL_MEL}}}}}",
        spoken,
        {"coder": Coder, "speaker": Speaker},
        differentiable=(),
    ),
    Example(
        "losses",
        "{type: ctc, in: [logits, tokens, logit_lengths, token_lengths], weight: 1}",
        frames,
        exempt={"meta": "torch has no CTC loss for this device"},
    ),
    Example(
        "losses",
        "{type: ctc, in: [logits, tokens], weight: 1}",
        frames,
        exempt={"meta": "torch has no CTC loss for this device"},
    ),
    Example(
        "losses",
        "{type: multi_resolution_stft, in: [a, b], resolutions: [[16, 4, 12], [8, 2, 8]], weight: 1}",
        waves,
    ),
    Example("losses", "{type: tacotron2, in: [mel, post, gate, target, end], weight: 1}", synthesized),
]
