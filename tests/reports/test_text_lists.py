"""Lists of utterances: columns, names, encodings; vocabularies."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch

from artschool.components.audio.ctc import CtcDecode
from artschool.components.audio.text_audio import TextAudio
from artschool.components.audio.tokenizer import make_tokenizer
from artschool.components.audio.transcripts import read_transcripts
from artschool.errors import ConfigError, DataError
from tests.reports.small import artschool

TEXTS = ["hello there", "good morning", "one two", "red blue"]


@pytest.fixture
def wavs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working folder, with recordings u0 to u3 in `wavs`."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "wavs").mkdir()
    for index in range(4):
        noise = 0.1 * np.random.default_rng(index).standard_normal(800 + index)
        soundfile.write(tmp_path / "wavs" / f"u{index}.wav", noise.astype(np.float32), 8000)
    return tmp_path


def texts(file: str, columns: list[str] | None = None) -> list[str]:
    return [row.text for row in read_transcripts(Path(file), columns).rows]


def write(lines: list[str], file: str = "list.txt") -> None:
    Path(file).write_text("".join(f"{line}\n" for line in lines))


def test_a_third_column_that_is_no_spoken_form_is_refused_until_it_is_named(wavs: Path) -> None:
    write([f"wavs/u{index}.wav|{text}|{index % 2}" for index, text in enumerate(TEXTS)])
    said = (
        r"^list\.txt:1: expected `file\|text` or `file\|text\|text as spoken`, got a third column that does not repeat "
        r"the second one: 'wavs/u0\.wav\|hello there\|0'\. Fix: name the columns, such as "
        r"`columns: \[file, text, speaker\]`; "
    )
    with pytest.raises(DataError, match=said):
        texts("list.txt")
    assert texts("list.txt", ["file", "text", "speaker"]) == TEXTS
    for id_ in ("p225", "speaker one", "en"):
        write([f"u{index}|{text}|{id_}" for index, text in enumerate(TEXTS)])
        with pytest.raises(DataError, match="third column"):
            texts("list.txt")


def test_a_text_in_the_last_column_may_hold_the_separator(wavs: Path) -> None:
    write([f"wavs/u{index}.wav|{text} | and more" for index, text in enumerate(TEXTS)])
    with pytest.raises(DataError, match="third column"):
        texts("list.txt")
    assert texts("list.txt", ["file", "text"]) == [f"{text} | and more" for text in TEXTS]
    write(["u0|hello", "u1|good | morning"])
    said = (
        r"^list\.txt:2: expected `file\|text`, got 3 columns: 'u1\|good \| morning'\. Fix: name the columns, such as "
    )
    with pytest.raises(DataError, match=said):
        texts("list.txt")
    with pytest.raises(DataError, match=r"^list\.txt:2: expected `text\|file`, got 3 columns"):
        texts("list.txt", ["text", "file"])


def test_ljspeech_is_a_guess_that_is_reported(wavs: Path) -> None:
    write(["u0|Dr. No, 3 men|doctor no, three men", "u1|so it is|so it is"])
    data = TextAudio(path=Path("list.txt"), vocabulary=Path("list.txt"), sample_rate=8000)
    assert [data[index]["text"] for index in range(2)] == ["doctor no, three men", "so it is"]
    assert list(data.remarks) == [
        "list.txt: the third column is used as the text, as in LJSpeech. "
        "To choose it without a guess, write `columns: [file, _, text]`"
    ]
    named = TextAudio(
        path=Path("list.txt"), vocabulary=Path("list.txt"), sample_rate=8000, columns=["file", "text", "_"]
    )
    assert named[0]["text"] == "Dr. No, 3 men" and not named.remarks
    decode = CtcDecode(vocabulary=Path("list.txt"), columns=["file", "text", "_"])
    assert decode(torch.eye(20)[None, 1:3])[0] == "".join(sorted(set("Dr. No, 3 menso it is")))[:2]


@pytest.mark.parametrize("columns", [["file"], ["text"], ["file", "text", "text"], []])
def test_columns_need_a_file_and_a_text(wavs: Path, columns: list[str]) -> None:
    write(["u0|hello"])
    with pytest.raises(ConfigError, match=r"^columns: expected '(file|text)' once, got \["):
        texts("list.txt", columns)


@pytest.mark.parametrize("end", ["\r\n", "\n", "\r"])
def test_a_list_from_windows_is_read_like_any_other(wavs: Path, end: str) -> None:
    lines = [*(f"wavs\\u{index}.wav | {text} \t" for index, text in enumerate(TEXTS)), "", "  \t", ""]
    Path("list.txt").write_bytes(b"\xef\xbb\xbf" + end.join(lines).encode())
    data = TextAudio(path=Path("list.txt"), vocabulary=Path("list.txt"), sample_rate=8000)
    assert [(data[index]["name"], data[index]["text"]) for index in range(4)] == [
        (f"u{index}.wav", text) for index, text in enumerate(TEXTS)
    ]


def test_two_lists_joined_by_a_shell_have_a_mark_in_the_middle(wavs: Path) -> None:
    Path("list.txt").write_bytes(b"\xef\xbb\xbfu0|a\n\xef\xbb\xbfu1|b\n\xef\xbb\xbf\n")
    assert [(row.name, row.text) for row in read_transcripts(Path("list.txt")).rows] == [("u0", "a"), ("u1", "b")]


@pytest.mark.parametrize("character", ["\u2028", "\x85", "\x0b"])
def test_a_line_ends_only_where_an_editor_ends_it(wavs: Path, character: str) -> None:
    Path("list.txt").write_text(f"u0|one{character}two\nu1|b\n", encoding="utf-8")
    assert texts("list.txt") == [f"one{character}two", "b"]


@pytest.mark.parametrize(
    ("data", "said"),
    [
        ("u0|a\nu1|\xfcber\n".encode("latin-1"), r"^list\.txt:2: expected text in UTF-8, got the byte 0xfc\. Fix: "),
        (
            "u0|a\n".encode("utf-16"),
            r"^list\.txt:1: expected text in UTF-8, got UTF-16\. Fix: convert the file to UTF-8$",
        ),
        (b"u0\thello\n", r"^list\.txt:1: expected `file\|text`, got 'u0\\thello'\. Fix: separate the columns by `\|`$"),
    ],
)
def test_another_format_is_named_with_its_line(wavs: Path, data: bytes, said: str) -> None:
    Path("list.txt").write_bytes(data)
    with pytest.raises(DataError, match=said):
        texts("list.txt")


def test_a_name_with_a_dot_is_looked_for_as_others_are(wavs: Path) -> None:
    for index in range(4):
        (wavs / "wavs" / f"u{index}.wav").rename(wavs / "wavs" / f"spk1_0.{index}.wav")
    write([f"spk1_0.{index}|{text}" for index, text in enumerate(TEXTS)])
    data = TextAudio(path=Path("list.txt"), vocabulary=Path("list.txt"), sample_rate=8000)
    assert [data[index]["name"] for index in range(4)] == [f"spk1_0.{index}.wav" for index in range(4)]
    write(["spk1_0.0|a", "spk1_0.9|b"])
    said = (
        r"^list\.txt:2: expected an audio file, got 'spk1_0\.9': found neither spk1_0\.9 nor wavs/spk1_0\.9\.wav\. "
        r"Fix: correct the name or remove the line$"
    )
    with pytest.raises(DataError, match=said):
        TextAudio(path=Path("list.txt"), vocabulary=Path("list.txt"), sample_rate=8000)


def test_a_file_with_an_unusual_extension_is_itself(wavs: Path) -> None:
    soundfile.write(wavs / "x.aiff", np.zeros(100, np.float32), 8000)
    write(["x.aiff|a"])
    assert TextAudio(path=Path("list.txt"), alphabet="a", sample_rate=8000)[0]["name"] == "x.aiff"


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ('["a", "b", "a"]', r"own\.json: duplicate tokens 'a'\. Fix: remove all but one of each$"),
        ('{"a": 1, "b": 2, "a": 3}', r"own\.json: duplicate tokens 'a'\. Fix: remove all but one of each$"),
        ('{"a": true}', r"or a mapping from tokens to whole numbers of 1 or more, got \{'a': True\}$"),
    ],
)
def test_a_vocabulary_with_doubles_is_refused(wavs: Path, content: str, said: str) -> None:
    Path("own.json").write_text(content)
    with pytest.raises(DataError, match=said):
        make_tokenizer(None, Path("own.json"))


def test_a_vocabulary_from_windows_is_read(wavs: Path) -> None:
    Path("OWN.JSON").write_bytes(b"\xef\xbb\xbf" + b'["a", "b"]')
    assert make_tokenizer(None, Path("OWN.JSON")).encode("ba") == [2, 1]


SPEECH = """
name: speech
data:
  train: {type: text_audio, path: list.txt, vocabulary: list.txt, sample_rate: 8000, batch_size: 2}
networks: {net: {type: edsr, scale: 1, width: 2, blocks: 1}}
steps:
  net:
    trains: net
    optimizer: {type: sgd, lr: 0.1}
    injectors: {f: {type: forward, network: net, in: audio, out: y}}
    losses: {l: {type: l1, in: [y, audio], weight: 1.0}}
train: {iterations: 1, device: cpu}
"""


def test_the_command_names_file_and_line(wavs: Path) -> None:
    Path("s.yml").write_text(SPEECH)
    write([f"u{index}|{text}|{index}" for index, text in enumerate(TEXTS)])
    code, printed = artschool("plan", "s.yml")
    assert "list.txt:1: expected `file|text`" in printed
    code, printed = artschool("plan", "s.yml", "data.train.columns=[file, text, speaker]")
    assert code == 0, printed
