"""How far a speech synthesizer of Tacotron 2's kind is from what it should say."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor

from artschool.components.losses.pixel import pair
from artschool.registry import ComponentRole, losses, metrics
from artschool.registry.signature import Context


@losses.register(roles=ComponentRole.MINIMIZED)
def tacotron2(
    mel: Tensor, mel_postnet: Tensor, gate_logits: Tensor, target_mel: Tensor, target_gate: Tensor, *, context: Context
) -> Tensor:
    """Squared error of the spectrogram before and after the postnet, and cross entropy of where it ends.

    `mean (mel - target)^2 + mean (postnet - target)^2 + cross entropy(gate)`, in float32 or better. Logs `mel_loss`,
    the first two, and `gate_loss`.

    Source: Shen et al. 2017, arXiv:1712.05884, sections 2.2 and 3.1.

    Args:
        mel: (B, F, T), of the decoder.
        mel_postnet: (B, F, T), of the postnet.
        gate_logits: (B, T), large where the utterance has ended.
        target_mel: (B, F, T).
        target_gate: (B, T), 1 where it has ended, 0 before.
        context: Takes what is logged.

    Raises:
        ConfigError: The shapes of what is compared differ.
    """
    spectrum, gate = _distances(mel, mel_postnet, gate_logits, target_mel, target_gate)
    context.log("mel_loss", spectrum.detach())
    context.log("gate_loss", gate.detach())
    return spectrum + gate


@metrics.register("tacotron2")
def tacotron2_score(
    mel: Tensor, mel_postnet: Tensor, gate_logits: Tensor, target_mel: Tensor, target_gate: Tensor
) -> Tensor:
    """The loss of this name on held-out utterances, a scalar; lower is better. DL-Art-School's validation score.

    Args:
        mel: (B, F, T), of the decoder.
        mel_postnet: (B, F, T), of the postnet.
        gate_logits: (B, T), large where the utterance has ended.
        target_mel: (B, F, T).
        target_gate: (B, T), 1 where it has ended, 0 before.

    Raises:
        ConfigError: The shapes of what is compared differ.
    """
    spectrum, gate = _distances(mel, mel_postnet, gate_logits, target_mel, target_gate)
    return spectrum + gate


def _distances(
    mel: Tensor, postnet: Tensor, gate: Tensor, target: Tensor, target_gate: Tensor
) -> tuple[Tensor, Tensor]:
    first, second = (F.mse_loss(*pair("tacotron2", made, target)) for made in (mel, postnet))
    return first + second, F.binary_cross_entropy_with_logits(*pair("tacotron2", gate, target_gate))
