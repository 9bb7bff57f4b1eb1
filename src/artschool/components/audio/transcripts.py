"""Lists of utterances: an audio file and its text a line."""

from __future__ import annotations

from pathlib import Path

from artschool.errors import DataError


def read_transcripts(file: Path, made_by: str | None = None) -> list[tuple[Path, str]]:
    """Read a list of lines `file|text`, or as in LJSpeech `name|text|text as spoken`, of which the last counts.

    Files are relative to the list's folder. A name without a suffix is `wavs/<name>.wav`, as in LJSpeech.

    Args:
        made_by: The command that makes the list, told where it is missing.

    Raises:
        DataError: There is no such list, a line of it has no text, or it is empty.
    """
    if not file.is_file():
        raise DataError(missing(f"list {file}", made_by))
    found = []
    for number, line in enumerate(file.read_text(encoding="utf-8-sig").splitlines(), start=1):
        if not line.strip():
            continue
        name, *texts = (part.strip() for part in line.split("|"))
        if not name or not texts or not texts[-1]:
            raise DataError(f"{file}:{number}: a line is `file|text`, found {line!r}")
        path = file.parent / name
        found.append((path if path.suffix else file.parent / "wavs" / f"{name}.wav", texts[-1]))
    if not found:
        raise DataError(f"{file} lists no audio")
    return found


def missing(what: str, made_by: str | None) -> str:
    """The text of an error about a file or folder that is not there."""
    return f"there is no {what}" + (f"; run `{made_by}`, which makes it" if made_by else "")
