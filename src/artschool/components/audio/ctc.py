"""Connectionist temporal classification (CTC): sequences from frames without a known alignment."""

from __future__ import annotations

from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor

from artschool.components.audio.tokenizer import make_tokenizer
from artschool.components.precision import at_least_float32
from artschool.registry import ComponentRole, injectors, losses
from artschool.registry.signature import Natural

BLANK = 0


@losses.register(roles={ComponentRole.TAKES_LOGITS, ComponentRole.MINIMIZED}, mean_over="samples")
def ctc(
    logits: Tensor,
    tokens: Tensor,
    logit_lengths: Tensor | None = None,
    token_lengths: Tensor | None = None,
    *,
    blank: Natural = BLANK,
    zero_infinity: bool = False,
) -> Tensor:
    """CTC loss: negative log likelihood of the tokens over all alignments, per token, mean over samples.

    Computed in float32 or better. On a GPU, each call synchronizes once to read the lengths.

    Source: Graves et al. 2006, Connectionist temporal classification, ICML, eqs. 8 and 12.

    Args:
        logits: (B, T, C), before softmax.
        tokens: (B, L), class indices other than `blank`. Values after the length of a sample are ignored.
        logit_lengths: (B,), number of valid frames of each sample. null: T for all samples.
        token_lengths: (B,), number of tokens of each sample. null: L for all samples.
        blank: Index of the blank class, 0 or more.
        zero_infinity: Whether a sample with too few frames for its tokens has loss 0 instead of an infinite one. It
            needs one frame per token, and one more between two equal neighbours.
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
    """Decode logits to text greedily: the most likely class of each frame, without repetitions and blanks (class 0).

    Intended for evaluations: it copies results from the device, which synchronizes.

    Args:
        alphabet: Characters of the classes from 1 on, in order. null: those of `vocabulary`. Exactly one of the two is
            required.
        vocabulary: File of tokens, in a format that the data set `text_audio` reads. null: those of `alphabet`. Exactly
            one of the two is required.
        columns: Columns of a `vocabulary` that is a list of utterances, as in the data set `text_audio`. null: guessed
            from the list.
    """

    def __init__(
        self, *, alphabet: str | None = None, vocabulary: Path | None = None, columns: list[str] | None = None
    ) -> None:
        self._tokenizer = make_tokenizer(alphabet, vocabulary, columns)

    def __call__(self, logits: Tensor, lengths: Tensor | None = None) -> list[str]:
        """Decode.

        Args:
            logits: (B, T, C), before or after softmax. Class 0 is the blank.
            lengths: (B,), number of valid frames of each sample. null: T for all samples.

        Returns:
            List of B texts.
        """
        best = logits.argmax(-1)
        new = F.pad(best.diff(dim=1) != 0, (1, 0), value=True) & (best != BLANK)
        if lengths is not None:
            new &= torch.arange(best.shape[1], device=best.device) < lengths[:, None]
        return [
            self._tokenizer.decode(sample[kept].tolist()) for sample, kept in zip(best.cpu(), new.cpu(), strict=True)
        ]
