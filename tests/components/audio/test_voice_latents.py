"""Latents of a speech model."""

from typing import Any

import torch
from torch import Tensor, nn, tensor

from artschool.components.audio.voice_latents import voice_latents


class Coder(nn.Module):
    def get_codebook_indices(self, mel: Tensor) -> Tensor:
        return mel.sum(1).long()


class Speaker(nn.Module):
    """Keeps what it was called with."""

    def __init__(self) -> None:
        super().__init__()
        self.scale = nn.Parameter(tensor(2.0))

    def forward(self, *inputs: Tensor, **options: Any) -> Tensor:
        self.inputs, self.options = inputs, options
        return self.scale * inputs[0].sum((1, 2, 3))


def test_both_networks_get_spectrograms_and_nothing_is_learnt() -> None:
    speaker = Speaker()
    audio, clips = torch.ones(2, 1, 6), torch.arange(2.0 * 3 * 4).view(2, 3, 1, 4)
    text, lengths = torch.ones(2, 5, dtype=torch.long), tensor([5, 4])

    def mel(wave: Tensor) -> Tensor:
        return wave.reshape(len(wave), 1, -1).expand(-1, 2, -1)

    found = voice_latents(Coder(), speaker, audio, clips, text, lengths, tensor([6, 5]), mel=mel)
    assert not found.requires_grad
    conditioning, texts, text_lengths, codes, audio_lengths = speaker.inputs
    assert torch.equal(conditioning, clips.expand(-1, -1, 2, -1))
    assert codes.tolist() == [[2] * 6] * 2
    assert texts is text and text_lengths is lengths and audio_lengths.tolist() == [6, 5]
    assert speaker.options == {
        "text_first": True,
        "raw_mels": None,
        "return_attentions": False,
        "return_latent": True,
    }
