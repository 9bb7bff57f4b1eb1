"""Utterances with their texts, in any language."""

from __future__ import annotations

from pathlib import Path
from typing import TypedDict

import torch
import torch.nn.functional as F
from torch import Tensor

from artschool.components.audio.tokenizer import Tokenizer, make_tokenizer
from artschool.components.audio.transcripts import audio_file, read_transcripts
from artschool.errors import DataError
from artschool.media.audio import fit, num_samples, read_audio
from artschool.registry import datasets
from artschool.registry.signature import Count, Positive


class Utterance(TypedDict):
    """A sample: `audio` (1, T), float32 in -1..1, and `tokens` (L), padded with 0; their lengths; `text` and `name`."""

    audio: Tensor
    audio_lengths: int
    tokens: Tensor
    tokens_lengths: int
    text: str
    name: str


@datasets.register
class TextAudio:
    """Utterances from a list, in its order: mono, at one sample rate, padded to the longest of the list.

    Lines are `file|text`, with files relative to the list's folder, or those of LJSpeech's `metadata.csv`. A name
    without the extension of an audio file is `wavs/<name>.wav`. Tokens are numbered from 1; 0 is the padding and the
    blank of CTC.

    Args:
        path: File that lists the utterances, one `file|text` per line, in UTF-8.
        sample_rate: Sample rate in Hz. Files of another rate are resampled.
        alphabet: Characters of the texts, numbered from 1 in this order. null: those of `vocabulary`. Exactly one of
            the two is required.
        vocabulary: File of tokens, the same for all data sets: `.json` with a list of tokens or a mapping from token to
            number, where the longest matching token comes first; or a list of utterances, whose characters are the
            alphabet. null: the characters of `alphabet`. Exactly one of the two is required.
        columns: Columns of a line, such as `[file, text, speaker]`: `file`, `text`, and other names for those to skip.
            A text in the last column may contain `|`. They also apply to a `vocabulary` that is a list of utterances.
            null: `file|text`, or three columns if the third one repeats the second as it is spoken.
        max_seconds: Maximum duration of an utterance in seconds, above 0. Longer ones are left out. null: no limit.
        made_by: Command that creates the list, shown in the error if the list is missing. null: no command is shown.

    Raises:
        DataError: The list does not exist, no utterance of it is short enough, a line has other columns, or a character
            of a text is not a token.
        ResourceError: soundfile or soxr is not installed.
    """

    def __init__(
        self,
        *,
        path: Path,
        sample_rate: Count,
        alphabet: str | None = None,
        vocabulary: Path | None = None,
        columns: list[str] | None = None,
        max_seconds: Positive | None = None,
        made_by: str | None = None,
    ) -> None:
        found = read_transcripts(path, columns, made_by)
        self.remarks = found.remarks
        tokenizer = make_tokenizer(alphabet, vocabulary, columns)
        listed = [(audio_file(path.parent, row), row.text) for row in found.rows]
        lengths = [num_samples(file, sample_rate) for file, _ in listed]
        longest = max(lengths) if max_seconds is None else int(max_seconds * sample_rate)
        self._rate = sample_rate
        # All texts are encoded now, so that an unknown character is reported before training starts.
        self._utterances = [
            (file, text, torch.tensor(_encode(tokenizer, text, f"{path}: {file.name}")))
            for (file, text), length in zip(listed, lengths, strict=True)
            if length <= longest
        ]
        if not self._utterances:
            raise DataError(
                f"{path}: expected an utterance of at most max_seconds {max_seconds}, got none; the shortest has "
                f"{min(lengths) / sample_rate:g} seconds. Fix: raise max_seconds"
            )
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


def _encode(tokenizer: Tokenizer, text: str, location: str) -> list[int]:
    try:
        return tokenizer.encode(text)
    except DataError as error:
        raise DataError(f"{location}: {error}") from None
