"""Connectionist temporal classification: sequences from frames that nobody has aligned with them."""

from __future__ import annotations

from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor

from artschool.components.audio.tokenizer import make_tokenizer
from artschool.components.losses.precision import at_least_float32
from artschool.registry import ComponentRole, injectors, losses
from artschool.registry.signature import Natural

BLANK = 0


@losses.register(roles={ComponentRole.TAKES_LOGITS, ComponentRole.MINIMIZED})
def ctc(
    logits: Tensor,
    tokens: Tensor,
    logit_lengths: Tensor | None = None,
    token_lengths: Tensor | None = None,
    *,
    blank: Natural = BLANK,
    zero_infinity: bool = False,
) -> Tensor:
    """Negative log likelihood of the tokens over all their alignments, per token, mean over samples.

    Computed in float32 or better. On a GPU torch waits for the lengths once at each call.

    Source: Graves et al. 2006, Connectionist temporal classification, ICML, eqs. 8 and 12.

    Args:
        logits: (B, T, C), before softmax.
        tokens: (B, L), classes other than `blank`; what is past a sample's length does not matter.
        logit_lengths: (B,), frames of each sample; all T without it.
        token_lengths: (B,), tokens of each sample; all L without it.
        blank: The class that stands for no token.
        zero_infinity: Whether a sample with too few frames for its tokens (one for each, and one between two equal
            ones) counts as 0; else its loss is infinite.
    """
    frames = logits.shape[1]
    return F.ctc_loss(
        at_least_float32(logits).log_softmax(-1).transpose(0, 1),
        tokens,
        _lengths(logit_lengths, frames, logits),
        _lengths(token_lengths, tokens.shape[1], logits),
        blank=blank,
        zero_infinity=zero_infinity,
    )


def _lengths(lengths: Tensor | None, whole: int, like: Tensor) -> Tensor:
    return torch.full((len(like),), whole, device=like.device) if lengths is None else lengths.long()


@injectors.register
class CtcDecode:
    """The text of the likeliest class of each frame, repetitions and blanks (class 0) removed.

    For evaluations: it reads the logits back from the device.

    Args:
        alphabet: Characters, which are the classes from 1 on. Either this or `vocabulary`.
        vocabulary: A file of tokens, as of the data set `text_audio`. Either this or `alphabet`.
    """

    def __init__(self, *, alphabet: str | None = None, vocabulary: Path | None = None) -> None:
        self._tokenizer = make_tokenizer(alphabet, vocabulary)

    def __call__(self, logits: Tensor, lengths: Tensor | None = None) -> list[str]:
        """Decode.

        Args:
            logits: (B, T, C), before or after softmax; class 0 is the blank.
            lengths: (B,), frames of each sample that count; all T without it.

        Returns:
            B texts.
        """
        best = logits.argmax(-1)
        new = F.pad(best.diff(dim=1) != 0, (1, 0), value=True) & (best != BLANK)
        if lengths is not None:
            new &= torch.arange(best.shape[1], device=best.device) < lengths[:, None]
        return [
            self._tokenizer.decode(sample[kept].tolist()) for sample, kept in zip(best.cpu(), new.cpu(), strict=True)
        ]
