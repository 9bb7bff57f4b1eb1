"""Lists of utterances: one audio file and its text per line."""

from __future__ import annotations

from pathlib import Path

from artschool.errors import DataError


def read_transcripts(file: Path, made_by: str | None = None) -> list[tuple[Path, str]]:
    """Read a list of lines `file|text`, or as in LJSpeech `name|text|text as spoken`, of which the last field counts.

    Files are relative to the list's folder. A name without a suffix is `wavs/<name>.wav`, as in LJSpeech.

    Args:
        made_by: Command that creates the list, shown if the list is missing.

    Raises:
        DataError: The list does not exist or is empty, or a line has no text.
    """
    if not file.is_file():
        raise DataError(missing_message(f"list {file}", made_by))
    found = []
    for number, line in enumerate(file.read_text(encoding="utf-8-sig").splitlines(), start=1):
        if not line.strip():
            continue
        name, *texts = (part.strip() for part in line.split("|"))
        if not name or not texts or not texts[-1]:
            raise DataError(f"{file}:{number}: expected `file|text`, got {line!r}. Fix: complete or remove the line")
        path = file.parent / name
        found.append((path if path.suffix else file.parent / "wavs" / f"{name}.wav", texts[-1]))
    if not found:
        raise DataError(f"{file}: expected lines `file|text`, got none. Fix: add utterances or correct the path")
    return found


def missing_message(what: str, made_by: str | None) -> str:
    """Return the text of an error about a file or folder that does not exist."""
    fix = f"run `{made_by}`" if made_by else "create it or correct the path"
    return f"{what} does not exist. Fix: {fix}"
