"""The corpus of speech, and the recipes that train on it."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import artschool
from artschool.components.audio.text_audio import TextAudio
from artschool.errors import DataError
from speech import RECIPES, needs_espeak, script


@pytest.fixture
def plugins(registries: None) -> Iterator[None]:
    """Let the next test import the recipes' plugins again, whose components are forgotten."""
    before = set(sys.modules)
    yield
    for name in set(sys.modules) - before:
        if name.startswith("artschool_plugin_"):
            del sys.modules[name]


@needs_espeak
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


def test_without_espeak_the_script_tells_how_to_install_it(monkeypatch: pytest.MonkeyPatch) -> None:
    module = script()
    monkeypatch.setattr(shutil, "which", lambda _: None)
    monkeypatch.setattr(sys, "argv", ["speech_corpus.py"])
    with pytest.raises(SystemExit, match=r"^espeak-ng is not installed: `apt-get install espeak-ng`"):
        module.main()
