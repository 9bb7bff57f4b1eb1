"""Which files are read, and where their results are written."""

from __future__ import annotations

import glob
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from artschool.components.datasets.finding import endings_of, list_folder, select_names
from artschool.errors import ConfigError, DataError
from artschool.paths import exists, is_dir


class Job(NamedTuple):
    """A file to read and the file to write."""

    source: Path
    target: Path


def find_jobs(
    inputs: Sequence[str], output: Path, endings: Mapping[str, str], *, is_file: bool = False, hint: str = ""
) -> list[Job]:
    """Find the files of files, folders and patterns. What is in a folder keeps its place below it.

    Args:
        inputs: Files, folders, and patterns such as `photos/**/*.jpg`.
        output: The folder for the results. Its files are not read if it is inside an input.
        endings: The ending of the result for each ending that is read, in lower case, with their dots.
        is_file: Whether `output` is the result of the only input, not a folder.
        hint: What to do if the files have none of the endings.

    Raises:
        ConfigError: Two results would have one name, or one would replace its input.
        DataError: A file does not exist, has another ending, or a folder has no suitable file.
    """
    jobs: dict[Path, Job] = {}
    for text in inputs:
        for root, name in _files(text, endings, hint):
            ending = endings.get(Path(name).suffix.lower())
            if ending is None:
                raise DataError(f"{root / name}: expected a file with one of the endings {', '.join(endings)}{hint}")
            target = output if is_file else output / Path(name).with_suffix(ending)
            if not _is_earlier_result(root, root / name, output):
                _add(jobs, Job(root / name, target))
    _check_inputs_remain(jobs)
    return list(jobs.values())


def _files(text: str, endings: Mapping[str, str], hint: str) -> Iterator[tuple[Path, str]]:
    """The files that an input names, each as a folder and the path in it that the result keeps."""
    path = Path(text).expanduser()
    if is_dir(path):
        names = list_folder(path).names
        chosen = select_names(names, endings)
        if not chosen:
            expected = f"{path}: expected files with the endings {', '.join(endings)}"
            raise DataError(f"{expected}, got {endings_of(names)}{hint}")
        yield from ((path, name) for name in chosen)
    elif exists(path):
        yield path.parent, path.name
    elif glob.has_magic(text):
        yield from _matching(path, endings, hint)
    else:
        raise DataError(f"{path}: does not exist (expected a file, a folder or a pattern such as 'photos/*.jpg')")


def _matching(pattern: Path, endings: Mapping[str, str], hint: str) -> Iterator[tuple[Path, str]]:
    """The files of a pattern, relative to the folder before its first wildcard."""
    parts = pattern.parts
    first = next(index for index, part in enumerate(parts) if glob.has_magic(part))
    root = Path(*parts[:first])
    names = sorted(glob.glob(str(Path(*parts[first:])), root_dir=root, recursive=True))  # noqa: PTH207  relative to root
    chosen = select_names([Path(name).as_posix() for name in names], endings)
    if not chosen:
        raise DataError(f"{pattern}: no file matches (expected the endings {', '.join(endings)}){hint}")
    yield from ((root, name) for name in chosen)


def _is_earlier_result(root: Path, source: Path, output: Path) -> bool:
    """Whether a file was found in an output folder that is below the folder of the input."""
    folder = output.resolve()
    return root.resolve() in folder.parents and source.resolve().is_relative_to(folder)


def _add(jobs: dict[Path, Job], job: Job) -> None:
    first = jobs.setdefault(job.target, job)
    if first.source.resolve() != job.source.resolve():
        raise ConfigError(
            f"{first.source} and {job.source} would both be written to {job.target}. "
            "Fix: apply to them separately, with an output folder for each"
        )


def _check_inputs_remain(jobs: Mapping[Path, Job]) -> None:
    sources = {job.source.resolve() for job in jobs.values()}
    for target in jobs:
        if target.resolve() in sources:
            raise ConfigError(f"{target}: the result would replace an input. Fix: choose another folder with -o")
