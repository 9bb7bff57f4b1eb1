"""Lists of utterances: one audio file and its text per line."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from artschool.errors import ConfigError, DataError
from artschool.media.audio import SUFFIXES
from artschool.paths import is_file

SEPARATOR = "|"
SPOKEN = 0.5
"""The least mean share of the words of the second column that the third one repeats, if it is the text as spoken."""
CHOOSE = "Fix: name the columns, such as `columns: [file, text, speaker]`; a text in the last column may contain `|`"


@dataclass(frozen=True)
class Transcript:
    """One line of a list.

    Attributes:
        place: List and number of the line, for errors.
        name: The audio file as written.
        text: Its text.
    """

    place: str
    name: str
    text: str


@dataclass(frozen=True)
class TranscriptList:
    """The lines of a list, and what was guessed about them."""

    rows: Sequence[Transcript]
    remarks: Sequence[str] = ()


def read_transcripts(file: Path, columns: Sequence[str] | None = None, made_by: str | None = None) -> TranscriptList:
    """Read a list in UTF-8, with columns that `|` separates. Empty lines and spaces around columns are ignored.

    Args:
        columns: The columns of each line: `file`, `text`, and other names for those to skip. None: `file|text`, or
            `file|text|text as spoken` as in LJSpeech's metadata.csv, of which the last column is the text.
        made_by: Command that creates the list, shown if the list is missing.

    Raises:
        ConfigError: `columns` lacks `file` or `text`.
        DataError: The list does not exist, is empty or not in UTF-8, or a line has other columns.
    """
    for name in ("file", "text"):
        if columns is not None and list(columns).count(name) != 1:
            raise ConfigError(f"columns: expected {name!r} once, got [{', '.join(columns)}]")
    lines = _lines(file, made_by)
    if not lines:
        raise DataError(f"{file}: expected lines `file|text`, got none. Fix: add utterances or correct the path")
    remarks = []
    if columns is None:
        columns = _guessed(lines)
        if len(columns) > 2:
            remarks.append(
                f"{file}: the third column is used as the text, as in LJSpeech. "
                "To choose it without a guess, write `columns: [file, _, text]`"
            )
    return TranscriptList([_transcript(place, line, columns) for place, line in lines], remarks)


def _lines(file: Path, made_by: str | None) -> list[tuple[str, str]]:
    """The lines that are not empty, each with its place."""
    if not is_file(file):
        raise DataError(missing_message(f"list {file}", made_by))
    data = file.read_bytes()
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        found = "UTF-16" if data[:2] in (b"\xff\xfe", b"\xfe\xff") else f"the byte 0x{data[error.start]:02x}"
        line = data[: error.start].count(b"\n") + 1
        raise DataError(f"{file}:{line}: expected text in UTF-8, got {found}. Fix: convert the file to UTF-8") from None
    # Unlike `str.splitlines`, do not split at characters such as U+2028, which a text may contain.
    lines = text.replace("\r\n", "\n").replace("\r", "\n").split("\n")
    return [(f"{file}:{number}", line) for number, line in enumerate(lines, start=1) if line.strip("\ufeff \t")]


def _transcript(place: str, line: str, columns: Sequence[str]) -> Transcript:
    # A text in the last column takes the rest of the line.
    fields = line.split(SEPARATOR, len(columns) - 1 if columns[-1] == "text" else -1)
    values = dict(zip(columns, (field.strip("\ufeff \t") for field in fields), strict=False))
    expected = SEPARATOR.join(columns)
    if len(fields) > len(columns):
        raise DataError(f"{place}: expected `{expected}`, got {len(fields)} columns: {line!r}. {CHOOSE}")
    if len(fields) < len(columns) or not values["file"] or not values["text"]:
        fix = "separate the columns by `|`" if "\t" in line and len(fields) == 1 else "complete or remove the line"
        raise DataError(f"{place}: expected `{expected}`, got {line!r}. Fix: {fix}")
    return Transcript(place, values["file"].replace("\\", "/"), values["text"])


def _guessed(lines: Sequence[tuple[str, str]]) -> list[str]:
    """The columns of a list that nothing describes.

    Raises:
        DataError: They are neither `file|text` nor those of LJSpeech.
    """
    rows = [line.split(SEPARATOR) for _, line in lines]
    counts = [len(row) for row in rows]
    if max(counts) <= 2:
        return ["file", "text"]
    if max(counts) > 3 or min(counts) < 3:
        odd = next(index for index, count in enumerate(counts) if count > 3 or count != counts[0])
        place, line = lines[odd]
        raise DataError(f"{place}: expected `file|text`, got {counts[odd]} columns: {line!r}. {CHOOSE}")
    if sum(_repeated(text, spoken) for _, text, spoken in rows) < SPOKEN * len(rows):
        place, line = next(
            both for both, (_, text, spoken) in zip(lines, rows, strict=True) if _repeated(text, spoken) < SPOKEN
        )
        raise DataError(
            f"{place}: expected `file|text` or `file|text|text as spoken`, got a third column that does not repeat the "
            f"second one: {line!r}. {CHOOSE}"
        )
    return ["file", "_", "text"]


def _repeated(text: str, spoken: str) -> float:
    """The share of the words of a text that it has in common with the text as spoken."""
    words, others = (set(re.findall(r"\w+", one.casefold())) for one in (text, spoken))
    return len(words & others) / max(1, len(words)) if text.strip() != spoken.strip() else 1.0


def audio_file(folder: Path, row: Transcript) -> Path:
    """The file that a line of a list in `folder` names.

    A name without the extension of an audio file is `wavs/<name>.wav`, as in LJSpeech, unless it is a file itself.

    Raises:
        DataError: Neither of the two exists.
    """
    path = folder / row.name
    if path.suffix.lower() in SUFFIXES or is_file(path):
        return path
    named = folder / "wavs" / f"{row.name}.wav"
    if not is_file(named):
        raise DataError(
            f"{row.place}: expected an audio file, got {row.name!r}: found neither {path} nor {named}. "
            "Fix: correct the name or remove the line"
        )
    return named


def missing_message(what: str, made_by: str | None) -> str:
    """Return the text of an error about a file or folder that does not exist."""
    fix = f"run `{made_by}`" if made_by else "create it or correct the path"
    return f"{what} does not exist. Fix: {fix}"
