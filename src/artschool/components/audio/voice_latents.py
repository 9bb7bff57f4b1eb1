"""What a trained speech model knows of an utterance."""

from __future__ import annotations

import torch
from torch import Tensor

from artschool.registry import injectors
from artschool.registry.signature import Injector, Network


@injectors.register
def voice_latents(
    coder: Network,
    speaker: Network,
    audio: Tensor,
    conditioning: Tensor,
    text: Tensor,
    text_lengths: Tensor,
    audio_lengths: Tensor,
    *,
    mel: Injector,
) -> Tensor:
    """Latents of an autoregressive speech model that is given the utterance: what a decoder of speech is trained on.

    Calls, without gradients, `coder.get_codebook_indices(mel(audio))` for the codes, then `speaker(mel(conditioning),
    text, text_lengths, codes, audio_lengths, text_first=True, raw_mels=None, return_attentions=False,
    return_latent=True)`, the way of DL-Art-School's speech models.

    Args:
        coder: A frozen VQ-VAE of spectrograms.
        speaker: The frozen speech model.
        audio: (B, T) or (B, 1, T).
        conditioning: Clips of the same voice, (B, K, T') or (B, K, 1, T').
        text: (B, L), tokens.
        text_lengths: (B,).
        audio_lengths: (B,), in samples.
        mel: Audio to the spectrograms that both networks know.

    Returns:
        What `speaker` returns.

    Source: Betker 2023, arXiv:2305.07243, section 2.
    """
    with torch.no_grad():
        clips = mel(conditioning.reshape(-1, conditioning.shape[-1]))
        clips = clips.unflatten(0, conditioning.shape[:2])
        codes = coder.get_codebook_indices(mel(audio))  # type: ignore[operator]  # a method of the user's network
        latents: Tensor = speaker(
            clips,
            text,
            text_lengths,
            codes,
            audio_lengths,
            text_first=True,
            raw_mels=None,
            return_attentions=False,
            return_latent=True,
        )
    return latents
