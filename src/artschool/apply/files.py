"""Applies a function to files, one or a few at a time: reads ahead and writes behind."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import torch
from safetensors.torch import save
from torch import Tensor

from artschool.apply.applied import Applied
from artschool.apply.jobs import Job
from artschool.errors import ConfigError, DataError, describe
from artschool.media import audio, video
from artschool.media.images import Image, read_image, write_image
from artschool.media.pixels import FORMATS
from artschool.shortages import is_out_of_memory
from artschool.storage.durable import make_folder, write_file

THREADS = 2
"""Number of threads that read and write files while others are computed."""
ARRAY = ".safetensors"
"""The ending of results that are neither images nor sound."""
VIDEOS = (*video.CONTAINERS, ".gif")
"""Endings of files that are read as videos. Other animated images are recognized by their content."""
ANIMATED = (*video.CONTAINERS, *video.ANIMATIONS)
"""Endings that results of videos can have."""
Item = TypeVar("Item")
Result = TypeVar("Result")
Step = Callable[[int], None]
"""Called with the number of files or frames that are done."""


@dataclass
class Summary:
    """What has become of files.

    Attributes:
        written: Number of results that are written.
        failed: What is wrong with each of the others.
    """

    written: int = 0
    failed: list[str] = field(default_factory=list)


def result_endings(applied: Applied) -> list[str]:
    """The endings that results can have, the usual one first."""
    if applied.makes_images:
        return [*FORMATS, *VIDEOS]
    return [".wav"] if applied.makes_sound else [ARRAY]


def endings_for(applied: Applied, chosen: str | None = None) -> dict[str, str]:
    """The ending of the result for each ending that can be read.

    Args:
        chosen: Ending of the results that can have it. None: `.png` for images, and that of the input for videos.

    Raises:
        ConfigError: No result can have the ending.
    """
    possible = result_endings(applied)
    if chosen is not None and chosen not in possible:
        raise ConfigError(f"--suffix {chosen}: expected one of {', '.join(possible)}")
    if applied.dims == 1 or not applied.makes_images:
        return dict.fromkeys(audio.SUFFIXES if applied.dims == 1 else FORMATS, possible[0])
    endings = {**dict.fromkeys(FORMATS, possible[0]), **{ending: ending for ending in VIDEOS}}
    if chosen is None:
        return endings
    holds = {ending: chosen in (ANIMATED if ending in VIDEOS else FORMATS) for ending in endings}
    return {ending: chosen if holds[ending] else usual for ending, usual in endings.items()}


def apply_to_files(
    applied: Applied, jobs: Sequence[Job], *, batch: int = 1, rate: int | None = None, step: Step = lambda count: None
) -> Summary:
    """Apply a function to files, and write the results.

    A file that cannot be read, or to which the function cannot be applied, does not end the others. At most a few files
    are in memory.

    Args:
        batch: Number of images of one size, and of frames, that are computed at once.
        rate: Sample rate of sound that the function is applied to. None: that of the file.
        step: Called with the number of files that are done.

    Raises:
        ResourceError: The disk is full or cannot be written, or an optional package is missing.
    """
    summary = Summary()
    with ThreadPoolExecutor(THREADS) as pool:
        written: deque[tuple[Job, Future[None]]] = deque()
        opened = _ahead(pool, partial(_opened, rate=rate), jobs, 2 * batch)
        for group in _alike(opened, batch):
            written.extend(_computed(applied, group, pool, batch, summary))
            while len(written) > 2 * batch:
                _finish(*written.popleft(), summary)
            step(len(group))
        while written:
            _finish(*written.popleft(), summary)
    return summary


def _opened(job: Job, rate: int | None) -> Any:
    """An image, audio, or the path of a video; an error that the file causes."""
    try:
        ending = job.source.suffix.lower()
        if ending in audio.SUFFIXES:
            found = audio.read_recording(job.source)
            if rate is None or rate == found.rate:
                return found
            return audio.Audio(torch.stack([audio.resample(each, found.rate, rate) for each in found.samples]), rate)
        if ending in VIDEOS or (ending in video.ANIMATIONS and video.is_animated(job.source)):
            return job.source
        return read_image(job.source)
    except DataError as error:
        return error


def _alike(opened: Iterable[tuple[Job, Any]], most: int) -> Iterator[list[tuple[Job, Any]]]:
    """Groups of consecutive images of one size, and single other files."""
    group: list[tuple[Job, Any]] = []
    for job, content in opened:
        is_next = isinstance(content, Image) and group and group[-1][1].color.shape == content.color.shape
        if group and (not is_next or len(group) == most):
            yield group
            group = []
        group.append((job, content))
        if not isinstance(content, Image):
            yield group
            group = []
    if group:
        yield group


def _computed(
    applied: Applied, group: list[tuple[Job, Any]], pool: ThreadPoolExecutor, batch: int, summary: Summary
) -> Iterator[tuple[Job, Future[None]]]:
    """The results of a group, which are being written."""
    jobs, contents = [job for job, _ in group], [content for _, content in group]
    try:
        writers = _writers(applied, jobs, contents, batch)
    except (RuntimeError, ValueError, MemoryError, DataError) as error:
        summary.failed += [_failure(job, error) for job in jobs]
        return
    for job, writer in zip(jobs, writers, strict=True):
        make_folder(job.target.parent)
        yield job, pool.submit(writer)


def _writers(applied: Applied, jobs: Sequence[Job], contents: Sequence[Any], batch: int) -> list[Callable[[], None]]:
    """What writes each result."""
    first, target = contents[0], jobs[0].target
    if isinstance(first, DataError):
        raise first
    if isinstance(first, Path):
        make_folder(target.parent)
        _apply_to_video(applied, first, target, batch)
        return [lambda: None]
    if isinstance(first, audio.Audio):
        result = applied(first.samples[None])[0]
        if not applied.makes_sound or applied.sizes is None:
            return [partial(_write_array, target, applied.name, result)]
        return [partial(audio.write_audio, target, result, int(first.rate * applied.sizes.factor[0]))]
    if applied.makes_images:
        images = applied.images(list(contents))
        return [partial(write_image, job.target, image) for job, image in zip(jobs, images, strict=True)]
    arrays = applied(torch.stack([image.color for image in contents]))
    return [partial(_write_array, job.target, applied.name, array) for job, array in zip(jobs, arrays, strict=True)]


def _apply_to_video(applied: Applied, source: Path, target: Path, batch: int) -> None:
    with video.open_video(source) as opened:
        groups = iter(lambda: [frame for _, frame in zip(range(batch), opened.frames, strict=False)], [])
        frames = (frame for group in groups for frame in applied(torch.stack(group)))
        has_sound = {source.suffix.lower(), target.suffix.lower()} <= video.CONTAINERS.keys()
        video.write_video(target, frames, opened.rate, sound=source if has_sound else None)


def _write_array(target: Path, name: str, values: Tensor) -> None:
    write_file(target, save({name: values.contiguous()}))


def _finish(job: Job, written: Future[None], summary: Summary) -> None:
    try:
        written.result()
    except DataError as error:
        summary.failed.append(_failure(job, error))
    else:
        summary.written += 1


def _failure(job: Job, error: Exception) -> str:
    """What is wrong, after the path of the file."""
    text = describe(error)
    if is_out_of_memory(error):
        text = "not enough memory. Fix: --tile 256, or a smaller --tile, and --batch-size 1"
    return text if text.startswith((str(job.source), str(job.target))) else f"{job.source}: {text}"


def _ahead(
    pool: ThreadPoolExecutor, function: Callable[[Item], Result], items: Iterable[Item], most: int
) -> Iterator[tuple[Item, Result]]:
    """Each item with the result of a function, which is called for some items in advance."""
    running: deque[tuple[Item, Future[Result]]] = deque()
    for item in items:
        running.append((item, pool.submit(function, item)))
        if len(running) > most:
            first, result = running.popleft()
            yield first, result.result()
    while running:
        first, result = running.popleft()
        yield first, result.result()
