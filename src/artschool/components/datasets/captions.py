"""The captions of images: in a table of the folder, or in a text file beside each image."""

from __future__ import annotations

import csv
import io
import json
import posixpath
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from fnmatch import fnmatch

from artschool.components.datasets.sources import FileSource
from artschool.errors import DataError

TABLES = ("metadata.jsonl", "metadata.csv", "captions.jsonl", "captions.csv")
"""Names of tables, in the order in which they are looked for. The first two are those of Hugging Face's imagefolder."""
FILE_COLUMN = "file_name"
MAX_LISTED = 4
ADD = "add what is missing, or leave images out with `exclude`"


def table_of(source: FileSource) -> str | None:
    """The name of the table of captions of a folder; None: it has none."""
    return next((table for table in TABLES if table in source.names), None)


def captions_of(
    source: FileSource, images: Sequence[str], table: str | None, column: str, exclude: Sequence[str] = ()
) -> list[str]:
    """Return the caption of each image.

    Args:
        images: Names of the images in the source.
        table: Name of the table. None: one of `TABLES`, or .txt files if there is none.
        column: Name of the column with the caption.
        exclude: Patterns of file names of images that may have a caption without being listed.

    Raises:
        DataError: The table is missing or damaged, an image has no caption or several, or a row of the table has no
            image.
    """
    table = table or table_of(source)
    if table is None:
        return _beside(source, images)
    location, found = f"{source.path}/{table}", list(_rows(source, table, column))
    several = [name for name, count in Counter(name for name, _ in found).items() if count > 1]
    _complain(location, several, "has several rows", "have several rows", "leave one row for each image")
    rows = dict(found)
    names = [posixpath.normpath(name) for name in images]
    _complain(location, [name for name in names if name not in rows], "has no row", "have no row")
    known = set(names)
    lost = [name for name in rows if name not in known and not any(fnmatch(_base(name), one) for one in exclude)]
    _complain(location, lost, "of the table does not exist", "of the table do not exist")
    return [rows[name] for name in names]


def _beside(source: FileSource, images: Sequence[str]) -> list[str]:
    texts = {name: f"{posixpath.splitext(name)[0]}.txt" for name in images}
    files = set(source.names)
    missing = [name for name, text in texts.items() if text not in files]
    _complain(str(source.path), missing, "has no .txt file beside it", "have no .txt files beside them")
    return [_decoded(source, text).strip() for text in texts.values()]


def _complain(location: str, names: Sequence[str], one: str, many: str, fix: str = ADD) -> None:
    if names:
        listed = ", ".join(names[:MAX_LISTED]) + (", ..." if len(names) > MAX_LISTED else "")
        found = f"1 image {one}" if len(names) == 1 else f"{len(names)} images {many}"
        raise DataError(f"captioned_folder: {location}: {found}: {listed}. Fix: {fix}")


def _rows(source: FileSource, table: str, column: str) -> Iterator[tuple[str, str]]:
    """The image and the caption of each row."""
    location = f"{source.path}/{table}"
    if table not in source.names:
        raise DataError(f"captioned_folder: {location} does not exist. Fix: correct `captions`")
    text = _decoded(source, table)
    records = _json_lines(text, location) if table.lower().endswith(".jsonl") else _csv_rows(text, location)
    folder = posixpath.dirname(table)
    for place, record in records:
        values = [record.get(name) for name in (FILE_COLUMN, column)]
        for name, value in zip((FILE_COLUMN, column), values, strict=True):
            if not isinstance(value, str):
                found = ", ".join(map(str, record)) or "nothing"
                raise DataError(f"{place}: expected text in the column {name!r}, got {found}. Fix: set `column`")
        file, caption = map(str, values)
        yield posixpath.normpath(posixpath.join(folder, file.replace("\\", "/"))), caption.strip()


def _json_lines(text: str, location: str) -> Iterator[tuple[str, Mapping[str, object]]]:
    for number, line in enumerate(text.split("\n"), start=1):
        if not line.strip():
            continue
        try:
            record = json.loads(line)
        except ValueError as error:
            raise DataError(
                f"{location}:{number}: expected JSON, got {line[:40]!r}: {error}. Fix: correct it"
            ) from None
        if not isinstance(record, dict):
            raise DataError(f"{location}:{number}: expected a mapping, got {line[:40]!r}. Fix: correct the line")
        yield f"{location}:{number}", record


def _csv_rows(text: str, location: str) -> Iterator[tuple[str, Mapping[str, object]]]:
    reader = csv.DictReader(io.StringIO(text, newline=""))
    try:
        for record in reader:
            yield f"{location}:{reader.line_num}", {key: value for key, value in record.items() if key is not None}
    except csv.Error as error:
        raise DataError(f"{location}:{reader.line_num}: cannot be read: {error}. Fix: correct the line") from None


def _decoded(source: FileSource, name: str) -> str:
    try:
        return source.read(name).decode("utf-8-sig")
    except UnicodeDecodeError:
        raise DataError(f"{source.path}/{name}: expected text in UTF-8. Fix: convert the file to UTF-8") from None


def _base(name: str) -> str:
    return name.rpartition("/")[2]
