"""Speech to train on, synthesised by espeak-ng: short commands in several voices, some five minutes, made in seconds.

python recipes/speech_corpus.py [data/speech] [--train 200] [--val 40]

Makes train/*.wav and val/*.wav, 8 kHz mono, and the lists train.txt and val.txt of lines `file|text`. No sentence is in
both.
"""

from __future__ import annotations

import argparse
import ctypes
import itertools
import random
import sys
from pathlib import Path
from typing import Any

import numpy as np
import soundfile
import soxr

RATE = 8000
WORDS = (
    ("bring", "find", "show", "move", "take"),
    ("one", "two", "three", "four", "five", "six", "seven", "eight", "nine"),
    ("red", "green", "blue", "yellow", "white", "black"),
    ("apples", "chairs", "boxes", "stones", "lamps", "books"),
)
VOICES = ("en-us", "en", "en-us+f3", "en+f2", "en-us+m3")
PITCHES = (35, 50, 65)
WORDS_A_MINUTE = 180
NOISE = 1e-3
"""Standard deviation of the noise of a quiet room: espeak-ng writes zeros between words, which no recording has."""


def main() -> None:
    """Make the folder."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", nargs="?", type=Path, default=Path("data/speech"))
    parser.add_argument("--train", type=int, default=200, help="utterances to train on")
    parser.add_argument("--val", type=int, default=40, help="utterances to evaluate on")
    options = parser.parse_args()
    seconds = make(options.folder, options.train, options.val)
    print(f"{options.folder}: {options.train} + {options.val} utterances, {seconds / 60:.1f} minutes")


def make(folder: Path, train: int, val: int) -> float:
    """Write the corpus; returns its length in seconds."""
    espeak = Espeak()
    choice = random.Random(0)
    sentences = [" ".join(words) for words in itertools.product(*WORDS)]
    chosen = choice.sample(sentences, train + val)
    seconds = 0.0
    for split, texts in (("train", chosen[:train]), ("val", chosen[train:])):
        (folder / split).mkdir(parents=True, exist_ok=True)
        lines = []
        for number, text in enumerate(texts):
            audio = as_recorded(espeak.speak(text, choice.choice(VOICES), choice.choice(PITCHES)), espeak.rate, number)
            file = f"{split}/{number:04d}.wav"
            soundfile.write(folder / file, audio, RATE, subtype="PCM_16")
            lines.append(f"{file}|{text}\n")
            seconds += len(audio) / RATE
        # The list comes last: a corpus that has one is complete.
        (folder / f"{split}.txt").write_text("".join(lines))
    return seconds


def as_recorded(audio: np.ndarray, rate: int, seed: int) -> np.ndarray:
    """Audio (T,) at any rate as (T',) at RATE, its peak at 0.9, with the noise of a room."""
    audio = soxr.resample(audio, rate, RATE)
    audio = 0.9 * audio / np.abs(audio).max()
    return audio + NOISE * np.random.default_rng(seed).standard_normal(len(audio))


class Espeak:
    """The library espeak-ng, with its voices, from the wheel of `espeakng-loader`.

    Source: espeak-ng 1.52, `speak_lib.h`, whose numbers these are.
    """

    SYNCHRONOUS = 2
    WORDS_A_MINUTE, PITCH = 1, 3
    BY_CHARACTER = 1
    UTF8_WITH_PAUSE = 1 | 0x1000
    CALLBACK = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.POINTER(ctypes.c_short), ctypes.c_int, ctypes.c_void_p)

    def __init__(self) -> None:
        try:
            from espeakng_loader import get_data_path, get_library_path
        except ImportError:
            sys.exit("espeakng-loader is not installed: pip install espeakng-loader")
        self._library = ctypes.CDLL(get_library_path())
        self._library.espeak_Synth.argtypes = (
            *(ctypes.c_char_p, ctypes.c_size_t, ctypes.c_uint, ctypes.c_int),
            *(ctypes.c_uint, ctypes.c_uint, ctypes.c_void_p, ctypes.c_void_p),
        )
        self.rate: int = self._library.espeak_Initialize(self.SYNCHRONOUS, 0, get_data_path().encode(), 0)
        """Samples per second of what is spoken."""
        if self.rate <= 0:
            raise RuntimeError(f"espeak-ng did not start with the voices of {get_data_path()}")
        self._library.espeak_ng_SetRandSeed(ctypes.c_long(0))  # Otherwise breath is seeded by the clock.
        self._spoken: list[np.ndarray] = []
        self._callback = self.CALLBACK(self._receive)  # Kept: the library keeps no reference to it.
        self._library.espeak_SetSynthCallback(self._callback)

    def speak(self, text: str, voice: str, pitch: int) -> np.ndarray:
        """A text in a voice and at a pitch (0 to 100) as (T,) in -1..1 at `rate`."""
        self._spoken.clear()
        self._call("espeak_SetVoiceByName", voice.encode())
        self._call("espeak_SetParameter", self.WORDS_A_MINUTE, WORDS_A_MINUTE, 0)
        self._call("espeak_SetParameter", self.PITCH, pitch, 0)
        said = text.encode()
        self._call("espeak_Synth", said, len(said) + 1, 0, self.BY_CHARACTER, 0, self.UTF8_WITH_PAUSE, None, None)
        return np.concatenate(self._spoken).astype(np.float32) / 2**15

    def _call(self, name: str, *arguments: object) -> None:
        status = getattr(self._library, name)(*arguments)
        if status:
            raise RuntimeError(f"{name}{arguments}: espeak-ng failed with status {status}")

    def _receive(self, samples: Any, count: int, _events: int) -> int:
        """Keep a piece of audio. Returns 0: continue. At the end there is a call without samples."""
        if samples and count:
            self._spoken.append(np.ctypeslib.as_array(samples, (count,)).copy())
        return 0


if __name__ == "__main__":
    main()
