"""Text as numbers."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from artschool.components.audio.tokenizer import make_tokenizer
from artschool.errors import ConfigError, DataError


def test_an_alphabet_counts_from_one() -> None:
    tokenizer = make_tokenizer("abc ", None)
    assert tokenizer.encode("cab a") == [3, 1, 2, 4, 1]
    assert tokenizer.decode([3, 1, 2, 4, 1, 0, 99]) == "cab a"


def test_a_list_of_utterances_gives_its_characters_sorted(tmp_path: Path) -> None:
    (tmp_path / "train.txt").write_text("a.wav|żab\nb.wav|b\n", encoding="utf-8")
    assert make_tokenizer(None, tmp_path / "train.txt").encode("abż") == [1, 2, 3]


@pytest.mark.parametrize("content", [["s", "sch", "c", "h", "a"], {"s": 1, "sch": 2, "c": 3, "h": 4, "a": 5}])
def test_a_json_vocabulary_has_tokens_of_any_length_and_the_longest_comes_first(
    content: object, tmp_path: Path
) -> None:
    (tmp_path / "own.json").write_text(json.dumps(content))
    tokenizer = make_tokenizer(None, tmp_path / "own.json")
    assert tokenizer.encode("schacs") == [2, 5, 3, 1]
    assert tokenizer.decode([2, 5]) == "scha"


def test_an_unknown_character_is_told_with_the_place_to_add_it() -> None:
    said = r"^text 'grün': no token for 'ü' in the alphabet 'grn'\. Fix: add one, or correct the text$"
    with pytest.raises(DataError, match=said):
        make_tokenizer("grn", None).encode("grün")


def test_exactly_one_source_is_needed() -> None:
    for alphabet, vocabulary, found in ((None, None, "neither"), ("ab", Path("x.json"), "both")):
        said = rf"^expected either `alphabet` \(characters\) or `vocabulary` \(a file\), got {found}$"
        with pytest.raises(ConfigError, match=said):
            make_tokenizer(alphabet, vocabulary)
    with pytest.raises(ConfigError, match=r"^alphabet: duplicate characters 'b'$"):
        make_tokenizer("abb", None)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("[1, 2]", r"or a mapping from tokens to whole numbers of 1 or more, got \[1, 2\]$"),
        ('{"a": 0}', r"or a mapping from tokens to whole numbers of 1 or more, got {'a': 0}$"),
        ('{"a": 1, "b": 1}', r"duplicate numbers 1\. Fix: give each token its own$"),
        ("a b", "invalid JSON: "),
    ],
)
def test_a_vocabulary_that_is_none_is_told(content: str, said: str, tmp_path: Path) -> None:
    (tmp_path / "own.json").write_text(content)
    with pytest.raises(DataError, match=rf"^{tmp_path}/own\.json: .*{said}"):
        make_tokenizer(None, tmp_path / "own.json")
    with pytest.raises(
        DataError, match=r"^vocabulary .*none\.json does not exist\. Fix: create it or correct the path$"
    ):
        make_tokenizer(None, tmp_path / "none.json")
