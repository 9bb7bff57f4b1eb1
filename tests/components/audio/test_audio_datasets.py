"""Folders of recordings and lists of utterances."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch

from artschool.components.audio.audio_folder import AudioFolder
from artschool.components.audio.labelled_audio_folder import LabelledAudioFolder
from artschool.components.audio.text_audio import TextAudio
from artschool.errors import DataError


def write_tone(file: Path, seconds: float, rate: int = 8000, channels: int = 1) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    wave = 0.5 * np.sin(2 * math.pi * 200 * np.arange(int(seconds * rate)) / rate)
    soundfile.write(file, np.stack([wave] * channels, 1), rate, subtype="FLOAT" if file.suffix == ".wav" else None)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Three recordings of several kinds and rates, and two lists of them."""
    write_tone(tmp_path / "wavs" / "a.wav", 0.5)
    write_tone(tmp_path / "wavs" / "b.flac", 0.25, rate=16000, channels=2)
    write_tone(tmp_path / "wavs" / "c.wav", 1.0)
    (tmp_path / "train.txt").write_text("wavs/a.wav|ab\nwavs/b.flac|b\n\nwavs/c.wav|aba\n")
    (tmp_path / "metadata.csv").write_text("a|Dr. A|doctor a\nc|C|c\n")
    return tmp_path


def test_whole_files_are_padded_to_the_longest_mono_and_of_one_rate(folder: Path) -> None:
    data = AudioFolder(path=folder, sample_rate=8000)
    samples = [data[index] for index in range(len(data))]
    assert [sample["name"] for sample in samples] == ["a.wav", "b.flac", "c.wav"]
    assert [sample["audio_lengths"] for sample in samples] == [4000, 2000, 8000]
    tone = 0.5 * torch.sin(2 * math.pi * 200 * torch.arange(8000, dtype=torch.float64) / 8000).float()
    for sample, atol in zip(samples, (1e-6, 2e-2, 1e-6), strict=True):
        audio, length = sample["audio"], sample["audio_lengths"]
        assert (audio.shape, audio.dtype) == ((1, 8000), torch.float32)
        torch.testing.assert_close(audio[0, 100 : length - 100], tone[100 : length - 100], rtol=0, atol=atol)
        assert not audio[0, length:].any()


def test_a_length_cuts_random_stretches_and_pads_what_is_shorter(folder: Path) -> None:
    data = AudioFolder(path=folder, sample_rate=8000, length=3000)
    torch.manual_seed(0)
    first, second, short = data[2], data[2], data[1]
    assert first["audio"].shape == (1, 3000) and first["audio_lengths"] == 3000
    assert not torch.equal(first["audio"], second["audio"])
    assert short["audio_lengths"] == 2000 and not short["audio"][0, 2000:].any()


def test_the_first_folder_of_a_recording_is_its_class(tmp_path: Path) -> None:
    for name, seconds in (("ben/1.wav", 0.5), ("anna/deep/2.wav", 0.25), ("3.wav", 0.1)):
        write_tone(tmp_path / name, seconds)
    data = LabelledAudioFolder(path=tmp_path, sample_rate=8000)
    samples = [data[index] for index in range(len(data))]
    assert [(s["name"], s["label"], s["class_name"], s["audio_lengths"]) for s in samples] == [
        ("2.wav", 0, "anna", 2000),
        ("1.wav", 1, "ben", 4000),
    ]
    assert data.classes == ["anna", "ben"]
    assert data.remarks == [f"{tmp_path}: passed over 1 of 3 recordings, which are in no folder"]
    known = LabelledAudioFolder(path=tmp_path, sample_rate=8000, classes=["cleo", "ben", "anna"], length=800)
    assert [known[index]["label"] for index in range(2)] == [2, 1] and known[0]["audio"].shape == (1, 800)


def test_recordings_without_a_class_or_of_an_unknown_one_are_refused(tmp_path: Path) -> None:
    write_tone(tmp_path / "1.wav", 0.1)
    with pytest.raises(DataError) as plain:
        LabelledAudioFolder(path=tmp_path, sample_rate=8000)
    assert str(plain.value) == (
        f"labelled_audio_folder: {tmp_path}: expected a folder of recordings for each class, such as anna/1.wav, got "
        "recordings without folders. Fix: sort them into folders, or use `audio_folder`"
    )
    write_tone(tmp_path / "ana" / "1.wav", 0.1)
    with pytest.raises(DataError, match=r"unknown class 'ana'\. Available classes: anna, ben\. Did you mean 'anna'\?$"):
        LabelledAudioFolder(path=tmp_path, sample_rate=8000, classes=["anna", "ben"])


def test_utterances_come_with_tokens_and_lengths(folder: Path) -> None:
    data = TextAudio(path=folder / "train.txt", sample_rate=16000, alphabet="ab")
    assert len(data) == 3
    sample = data[1]
    assert sample["tokens"].tolist() == [2, 0, 0]
    assert (sample["tokens_lengths"], sample["text"], sample["name"]) == (1, "b", "b.flac")
    assert sample["audio"].shape == (1, 16000) and sample["audio_lengths"] == 4000


def test_long_utterances_are_left_out(folder: Path) -> None:
    data = TextAudio(path=folder / "train.txt", sample_rate=8000, vocabulary=folder / "train.txt", max_seconds=0.6)
    assert [data[index]["name"] for index in range(len(data))] == ["a.wav", "b.flac"]
    assert data[1]["audio"].shape == (1, 4000) and data[0]["tokens"].tolist() == [1, 2]
    said = r"of at most max_seconds 0\.1, got none; the shortest has 0\.25 seconds\. Fix: raise max_seconds$"
    with pytest.raises(DataError, match=said):
        TextAudio(path=folder / "train.txt", sample_rate=8000, alphabet="ab", max_seconds=0.1)


def test_ljspeechs_list_has_names_without_suffix_and_the_text_as_spoken(folder: Path) -> None:
    data = TextAudio(path=folder / "metadata.csv", sample_rate=8000, alphabet="acdort ")
    assert [data[index]["text"] for index in range(2)] == ["doctor a", "c"]
    assert data[1]["audio_lengths"] == 8000


def test_what_is_missing_is_told_with_the_command_that_makes_it(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"^audio_folder: folder .*none does not exist\. Fix: run `make it`$"):
        AudioFolder(path=tmp_path / "none", sample_rate=8000, made_by="make it")
    with pytest.raises(DataError, match=r"^list .*none\.txt does not exist\. Fix: run `make it`$"):
        TextAudio(path=tmp_path / "none.txt", sample_rate=8000, alphabet="a", made_by="make it")
    with pytest.raises(
        DataError, match=r"no recordings in .* \(expected \.wav, \.flac, \.ogg, \.mp3, got no files\)\. Fix: add some "
    ):
        AudioFolder(path=tmp_path, sample_rate=8000)


def test_what_is_broken_is_told(folder: Path) -> None:
    (folder / "wavs" / "a.wav").write_text("no audio")
    with pytest.raises(
        DataError, match=r"a\.wav: expected WAV, FLAC, Ogg or MP3 audio, got: Format not recognised\. Fix"
    ):
        AudioFolder(path=folder, sample_rate=8000)
    for text, said in (
        ("a.wav\n", r"list\.txt:1: expected `file\|text`, got 'a\.wav'\. Fix: complete or remove the line$"),
        ("\n", r"list\.txt: expected lines `file\|text`, got none\. Fix: "),
        ("gone.wav|a\n", r"gone\.wav: expected WAV, FLAC, Ogg or MP3 audio, got: no file\. Fix: "),
    ):
        (folder / "list.txt").write_text(text)
        with pytest.raises(DataError, match=said):
            TextAudio(path=folder / "list.txt", sample_rate=8000, alphabet="a")
    (folder / "list.txt").write_text("wavs/c.wav|abc\n")
    with pytest.raises(
        DataError, match=r"list\.txt: c\.wav: text 'abc': no token for 'c' in the alphabet 'ab'\. Fix: "
    ):
        TextAudio(path=folder / "list.txt", sample_rate=8000, alphabet="ab")
