"""Your own utterances with their texts, in any language."""

from __future__ import annotations

from pathlib import Path
from typing import TypedDict

import torch
import torch.nn.functional as F
from torch import Tensor

from artschool.components.audio.audio_files import fit, num_samples, read_audio
from artschool.components.audio.tokenizer import make_tokenizer
from artschool.components.audio.transcripts import read_transcripts
from artschool.errors import DataError
from artschool.registry import datasets
from artschool.registry.signature import Count, Positive


class Utterance(TypedDict):
    """`audio` (1, T), float32 in -1..1, `tokens` (L), both padded with 0, with their lengths; `text` and `name`."""

    audio: Tensor
    audio_lengths: int
    tokens: Tensor
    tokens_lengths: int
    text: str
    name: str


@datasets.register
class TextAudio:
    """Utterances of a list, in its order; mono, at one sample rate, padded to the longest of the list.

    Lines are `file|text`, with files relative to the list's folder, or those of LJSpeech's `metadata.csv`. Tokens count
    from 1; 0 is padding and the blank of CTC.

    Args:
        path: The list of utterances, a file.
        sample_rate: Samples a second; files of another rate are resampled.
        alphabet: The characters that texts have, numbered in this order. Either this or `vocabulary`.
        vocabulary: A file: `.json` with a list of tokens or a mapping of tokens to numbers, the longest token that fits
            first; or a list of utterances such as `path`, whose characters are the alphabet. Give all data sets the
            same one.
        max_seconds: Longer utterances are left out.
        made_by: A command that makes the list, told where it is missing.

    Raises:
        DataError: There is no such list, nothing is left of it, or a text has a character that is no token.
        ResourceError: soundfile or soxr is not installed.
    """

    def __init__(
        self,
        *,
        path: Path,
        sample_rate: Count,
        alphabet: str | None = None,
        vocabulary: Path | None = None,
        max_seconds: Positive | None = None,
        made_by: str | None = None,
    ) -> None:
        listed = read_transcripts(path, made_by)
        tokenizer = make_tokenizer(alphabet, vocabulary)
        lengths = [num_samples(file, sample_rate) for file, _ in listed]
        longest = max(lengths) if max_seconds is None else int(max_seconds * sample_rate)
        self._rate = sample_rate
        # All texts are read now: a character that is no token is told before the training starts.
        self._utterances = [
            (file, text, torch.tensor(tokenizer.encode(text)))
            for (file, text), length in zip(listed, lengths, strict=True)
            if length <= longest
        ]
        if not self._utterances:
            raise DataError(f"{path} has no utterance of at most {max_seconds} seconds")
        self._length = max(length for length in lengths if length <= longest)
        self._most_tokens = max(len(tokens) for _, _, tokens in self._utterances)

    def __len__(self) -> int:
        return len(self._utterances)

    def __getitem__(self, index: int) -> Utterance:
        file, text, tokens = self._utterances[index]
        audio = read_audio(file, self._rate)
        return {
            "audio": fit(audio, self._length)[None],
            "audio_lengths": len(audio),
            "tokens": F.pad(tokens, (0, self._most_tokens - len(tokens))),
            "tokens_lengths": len(tokens),
            "text": text,
            "name": file.name,
        }
