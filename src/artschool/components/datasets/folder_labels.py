"""Labels of files that are sorted into a folder for each class."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from artschool.errors import DataError
from artschool.wording.names import allowed


class FolderLabels:
    """The files that are in a folder, and the first folder of their path, which is their class.

    Attributes:
        indices: Positions in `names` of the files that are in a folder.
        labels: Number of the class of each of them.
        classes: Names of the classes, by number.
        remarks: How many files are in no folder, if there are some.

    Args:
        names: Paths of the files relative to `path`, with `/` between folders.
        classes: Names of the classes. None: those of the folders, sorted.
        path: Where the files are, for errors.
        owner: Name of the data set, for errors.
        files: What the files are, such as `images`.
        example: Path of a file in a folder.
        plain: Name of the data set for files without classes.

    Raises:
        DataError: No file is in a folder, or a folder is none of `classes`.
    """

    def __init__(
        self,
        names: Sequence[str],
        classes: Sequence[str] | None,
        *,
        path: Path | list[Path],
        owner: str,
        files: str,
        example: str,
        plain: str,
    ) -> None:
        found = [_class_of(name) for name in names]
        self.indices = [index for index, name in enumerate(found) if name]
        used = sorted({name for name in found if name})
        if not used:
            raise DataError(
                f"{owner}: {path}: expected a folder of {files} for each class, such as {example}, got "
                f"{files} without folders. Fix: sort them into folders, or use `{plain}`"
            )
        self.classes = list(used if classes is None else classes)
        numbers = {name: number for number, name in enumerate(self.classes)}
        if unknown := next((name for name in used if name not in numbers), None):
            raise DataError(
                f"{owner}: {path}: unknown class {unknown!r}. {allowed('Available classes', unknown, self.classes)}"
            )
        self.labels = [numbers[found[index]] for index in self.indices]
        outside = len(found) - len(self.indices)
        message = f"{path}: passed over {outside} of {len(found)} {files}, which are in no folder"
        self.remarks = [message] if outside else []


def _class_of(name: str) -> str:
    """The first folder of a path; "" if it has none."""
    folder, slash, _ = name.removeprefix("./").partition("/")
    return folder if slash else ""
