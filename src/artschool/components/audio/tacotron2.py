"""Loss and metric of the speech synthesizer Tacotron 2."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor

from artschool.components.losses.shapes import pair
from artschool.registry import ComponentRole, losses, metrics
from artschool.registry.signature import Context


@losses.register(roles=ComponentRole.MINIMIZED, mean_over="samples")
def tacotron2(
    mel: Tensor, mel_postnet: Tensor, gate_logits: Tensor, target_mel: Tensor, target_gate: Tensor, *, context: Context
) -> Tensor:
    """Squared error of the spectrogram before and after the postnet, plus cross entropy of the gate.

    `mean (mel - target)^2 + mean (postnet - target)^2 + cross entropy(gate)`, in float32 or better. Logs `mel_loss`,
    the sum of the first two terms, and `gate_loss`.

    Source: Shen et al. 2017, arXiv:1712.05884, sections 2.2 and 3.1.

    Args:
        mel: (B, F, T), output of the decoder.
        mel_postnet: (B, F, T), output of the postnet.
        gate_logits: (B, T), logits of the gate: large where the utterance has ended.
        target_mel: (B, F, T), the real spectrogram.
        target_gate: (B, T), 1 where the utterance has ended, 0 before.
        context: Receives the logged values.

    Raises:
        ConfigError: Two compared tensors differ in shape.
    """
    spectrum, gate = _distances(mel, mel_postnet, gate_logits, target_mel, target_gate)
    context.log("mel_loss", spectrum.detach())
    context.log("gate_loss", gate.detach())
    return spectrum + gate


@metrics.register("tacotron2")
def tacotron2_score(
    mel: Tensor, mel_postnet: Tensor, gate_logits: Tensor, target_mel: Tensor, target_gate: Tensor
) -> Tensor:
    """The loss `tacotron2` on held-out utterances, a scalar; lower is better. DL-Art-School's validation score.

    Args:
        mel: (B, F, T), output of the decoder.
        mel_postnet: (B, F, T), output of the postnet.
        gate_logits: (B, T), logits of the gate: large where the utterance has ended.
        target_mel: (B, F, T), the real spectrogram.
        target_gate: (B, T), 1 where the utterance has ended, 0 before.

    Raises:
        ConfigError: Two compared tensors differ in shape.
    """
    spectrum, gate = _distances(mel, mel_postnet, gate_logits, target_mel, target_gate)
    return spectrum + gate


def _distances(
    mel: Tensor, postnet: Tensor, gate: Tensor, target: Tensor, target_gate: Tensor
) -> tuple[Tensor, Tensor]:
    first, second = (F.mse_loss(*pair("tacotron2", made, target)) for made in (mel, postnet))
    return first + second, F.binary_cross_entropy_with_logits(*pair("tacotron2", gate, target_gate))
