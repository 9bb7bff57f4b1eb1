"""The corpus of speech, and the recipes that train on it."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import artschool
from artschool.components.audio.text_audio import TextAudio
from artschool.errors import DataError
from tests.speech import RECIPES, script


@pytest.fixture
def plugins(registries: None) -> Iterator[None]:
    """Let the next test import the recipes' plugins again, whose components are forgotten."""
    before = set(sys.modules)
    yield
    for name in set(sys.modules) - before:
        if name.startswith("artschool_plugin_"):
            del sys.modules[name]


def test_the_corpus_is_speech_with_its_text_and_no_sentence_is_in_both_parts(corpus: Path) -> None:
    folder = corpus / "data" / "speech"
    parts = [
        TextAudio(path=folder / f"{name}.txt", sample_rate=8000, alphabet=" abcdefghijklmnopqrstuvwxyz")
        for name in ("train", "val")
    ]
    train, val = ([part[index] for index in range(len(part))] for part in parts)
    assert (len(train), len(val)) == (16, 2)
    assert not {sample["text"] for sample in train} & {sample["text"] for sample in val}
    for sample in val:
        spoken = sample["audio"][0, : sample["audio_lengths"]]
        assert 8000 < len(spoken) < 20000
        assert 0.05 < spoken.square().mean().sqrt() < 0.5
        assert len(sample["text"].split()) == 4


@pytest.mark.usefixtures("plugins")
def test_without_the_corpus_a_recipe_tells_how_to_make_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(
        DataError, match=r"list data/speech/train\.txt does not exist\. Fix: run `python recipes/speech_corpus\.py`"
    ):
        artschool.load(RECIPES / "speech_ctc.yml", run_dir=tmp_path / "run")


def test_the_corpus_is_the_same_whenever_the_script_runs(tmp_path: Path) -> None:
    for name in ("one", "two"):
        arguments = [str(RECIPES / "speech_corpus.py"), str(tmp_path / name), "--train", "8", "--val", "1"]
        subprocess.run([sys.executable, *arguments], check=True, capture_output=True)
    files = sorted(file.relative_to(tmp_path / "one") for file in (tmp_path / "one").rglob("*.wav"))
    assert len(files) == 9
    assert all((tmp_path / "one" / file).read_bytes() == (tmp_path / "two" / file).read_bytes() for file in files)


def test_the_script_names_the_package_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    module = script()
    monkeypatch.setitem(sys.modules, "espeakng_loader", None)
    monkeypatch.setattr(sys, "argv", ["speech_corpus.py", str(tmp_path / "speech")])
    with pytest.raises(SystemExit, match=r"^espeakng-loader is not installed: pip install espeakng-loader$"):
        module.main()
    assert not (tmp_path / "speech").exists()


def test_a_voice_that_there_is_not_is_an_error() -> None:
    with pytest.raises(RuntimeError, match=r"^espeak_SetVoiceByName\(b'nobody',\): espeak-ng failed with status 2$"):
        script().Espeak().speak("one red lamp", "nobody", 50)
