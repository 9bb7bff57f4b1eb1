"""Speech to train on, synthesised by espeak-ng: short commands in several voices, some five minutes, made in seconds.

python recipes/speech_corpus.py [data/speech] [--train 200] [--val 40]

Makes train/*.wav and val/*.wav, 8 kHz mono, and the lists train.txt and val.txt of lines `file|text`. No sentence is in
both.
"""

from __future__ import annotations

import argparse
import itertools
import random
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

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
VOICES = ("en-us", "en-gb", "en-us+f3", "en-gb+f2", "en-us+m3")
PITCHES = (35, 50, 65)
WORDS_A_MINUTE = 180
NOISE = 1e-3
"""As of a quiet room: between words espeak-ng writes zeros, which no recording has."""


def main() -> None:
    """Make the folder."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", nargs="?", type=Path, default=Path("data/speech"))
    parser.add_argument("--train", type=int, default=200, help="utterances to train on")
    parser.add_argument("--val", type=int, default=40, help="utterances to evaluate on")
    options = parser.parse_args()
    if shutil.which("espeak-ng") is None:
        sys.exit("espeak-ng is not installed: `apt-get install espeak-ng`, `brew install espeak-ng` or the like")
    seconds = make(options.folder, options.train, options.val)
    print(f"{options.folder}: {options.train} + {options.val} utterances, {seconds / 60:.1f} minutes")


def make(folder: Path, train: int, val: int) -> float:
    """Write the corpus; returns how many seconds it has."""
    choice = random.Random(0)
    sentences = [" ".join(words) for words in itertools.product(*WORDS)]
    chosen = choice.sample(sentences, train + val)
    seconds = 0.0
    for split, texts in (("train", chosen[:train]), ("val", chosen[train:])):
        (folder / split).mkdir(parents=True, exist_ok=True)
        lines = []
        for number, text in enumerate(texts):
            audio = speak(text, choice.choice(VOICES), choice.choice(PITCHES), seed=number)
            file = f"{split}/{number:04d}.wav"
            soundfile.write(folder / file, audio, RATE, subtype="PCM_16")
            lines.append(f"{file}|{text}\n")
            seconds += len(audio) / RATE
        # The list comes last: a corpus that has one is complete.
        (folder / f"{split}.txt").write_text("".join(lines))
    return seconds


def speak(text: str, voice: str, pitch: int, seed: int) -> np.ndarray:
    """A text as (T,) in -1..1 at RATE."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "said.wav")
        command = ["espeak-ng", "-v", voice, "-p", str(pitch), "-s", str(WORDS_A_MINUTE), "-w", str(file), text]
        subprocess.run(command, check=True)
        audio, rate = soundfile.read(file, dtype="float32")
    audio = soxr.resample(audio, rate, RATE)
    audio = 0.9 * audio / np.abs(audio).max()
    return audio + NOISE * np.random.default_rng(seed).standard_normal(len(audio))


if __name__ == "__main__":
    main()
