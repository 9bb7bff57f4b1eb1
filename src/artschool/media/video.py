"""Video files, one frame at a time: containers such as MP4 by PyAV, animated images by Pillow."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from fractions import Fraction
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import PIL.Image
from torch import Tensor

from artschool.errors import DataError
from artschool.extras import extra
from artschool.media.pixels import Pixels, to_pixels, values_of
from artschool.storage.durable import committed_file, translate_disk_errors

ANIMATIONS = {".gif": "GIF", ".webp": "WEBP", ".png": "PNG"}
"""Pillow's names of the formats of animated images."""
CONTAINERS = {".mp4": "mp4", ".mkv": "matroska", ".mov": "mov", ".webm": "webm"}
"""FFmpeg's names of the formats of videos."""
CODECS = {"webm": "libvpx-vp9"}
"""The codec of a container; of the others, H.264."""
QUALITY = "16"
"""Constant rate factor of the codecs: differences are hard to see."""
BT709 = 1
"""FFmpeg's number of the color space of high definition."""


@dataclass(frozen=True)
class Video:
    """A video that is being read.

    Attributes:
        frames: (3, H, W) each, float32 in 0..1. They can be read once.
        rate: Frames per second.
        count: Number of frames that the file announces; 0 if it does not.
    """

    frames: Iterator[Tensor]
    rate: Fraction
    count: int = 0


def is_animated(path: Path) -> bool:
    """Whether an image has several frames. One that cannot be read has not."""
    try:
        with PIL.Image.open(path, formats=tuple(ANIMATIONS.values())) as image:
            return getattr(image, "n_frames", 1) > 1
    except Exception:  # Pillow's decoders raise exceptions of many types.
        return False


@contextmanager
def open_video(path: Path) -> Iterator[Video]:
    """Open a video or an animated image, and close it at the end of the block.

    Raises:
        DataError: The file is missing, is not a video, or is damaged, which may show only at a later frame.
        ResourceError: PyAV is not installed, which containers need.
    """
    opened = _open_animation if path.suffix.lower() in ANIMATIONS else _open_container
    with opened(path) as video:
        yield video


def write_video(path: Path, frames: Iterable[Tensor], rate: float | Fraction, sound: Path | None = None) -> None:
    """Write or replace a video or an animated image, in the format that the ending of the path names.

    A container needs memory for one frame at a time, an animated image for all of them.

    Args:
        frames: (3, H, W) or (1, H, W) each, of one size. Values are clamped to 0..1.
        rate: Frames per second.
        sound: A video whose sound is copied. None: no sound. Ignored for animated images.

    Raises:
        DataError: There is no frame, or the format cannot hold the video or its sound.
        ResourceError: The disk is full or cannot be written, or PyAV is not installed.
    """
    suffix, iterator = path.suffix.lower(), iter(frames)
    if suffix not in ANIMATIONS and suffix not in CONTAINERS:
        raise DataError(f"{path}: expected a video with one of the endings {', '.join((*CONTAINERS, *ANIMATIONS))}")
    first = next(iterator, None)
    if first is None:
        raise DataError(f"{path}: expected a video, got no frames")
    pixels = (to_pixels(frame.expand(3, -1, -1)) for frame in chain([first], iterator))
    with committed_file(path) as temporary:
        if suffix in ANIMATIONS:
            _write_animation(path, temporary, pixels, rate)
        else:
            _write_container(path, temporary, pixels, Fraction(rate).limit_denominator(1001), sound)


@contextmanager
def _open_animation(path: Path) -> Iterator[Video]:
    with ExitStack() as stack:
        try:
            image = stack.enter_context(PIL.Image.open(path, formats=tuple(ANIMATIONS.values())))
            count = getattr(image, "n_frames", 1)
            image.load()
        except Exception as error:  # Pillow's decoders raise exceptions of many types.
            raise DataError(f"{path}: expected an animated image: {error}") from error
        milliseconds = float(image.info.get("duration") or 100)
        yield Video(
            _frames_of_animation(path, image, count), Fraction(1000 / milliseconds).limit_denominator(1001), count
        )


def _frames_of_animation(path: Path, image: PIL.Image.Image, count: int) -> Iterator[Tensor]:
    for index in range(count):
        try:
            image.seek(index)
            pixels = np.asarray(image.convert("RGB"))
        except Exception as error:  # Pillow's decoders raise exceptions of many types.
            raise DataError(f"{path}: frame {index} is damaged: {error}") from error
        yield values_of(pixels)


@contextmanager
def _open_container(path: Path) -> Iterator[Video]:
    av = _av()
    try:
        container = av.open(str(path))
    except (OSError, av.FFmpegError) as error:
        raise DataError(f"{path}: expected a video: {error}") from error
    with container:
        if not container.streams.video:
            raise DataError(f"{path}: expected a video, got a file without images")
        stream = container.streams.video[0]
        stream.thread_type = "AUTO"
        rate = Fraction(stream.average_rate or stream.guessed_rate or 25)
        yield Video(_frames_of_container(path, container, stream), rate, stream.frames)


def _frames_of_container(path: Path, container: Any, stream: Any) -> Iterator[Tensor]:
    try:
        for frame in container.decode(stream):
            yield values_of(_upright(frame))
    except _av().FFmpegError as error:
        raise DataError(f"{path}: video is damaged: {error}") from error


def _upright(frame: Any) -> Pixels:
    """The pixels of a frame as players show it: a phone stores how it was held beside the frames of its sensor."""
    quarter_turns = round(getattr(frame, "rotation", 0) / 90)  # The oldest PyAV that is supported does not have it.
    return np.ascontiguousarray(np.rot90(frame.to_ndarray(format="rgb24"), quarter_turns))


def _write_animation(path: Path, temporary: Path, frames: Iterator[Pixels], rate: float | Fraction) -> None:
    first, *others = [PIL.Image.fromarray(pixels) for pixels in frames]
    settings = {"lossless": True} if path.suffix.lower() == ".webp" else {}
    with translate_disk_errors(path, 0), temporary.open("xb") as file:
        milliseconds = max(1, round(1000 / rate))
        kind = ANIMATIONS[path.suffix.lower()]
        first.save(file, kind, save_all=True, append_images=others, duration=milliseconds, loop=0, **settings)


def _write_container(path: Path, temporary: Path, frames: Iterator[Pixels], rate: Fraction, sound: Path | None) -> None:
    av = _av()
    kind = CONTAINERS[path.suffix.lower()]
    try:
        with (
            translate_disk_errors(path, 0),
            av.open(str(temporary), "w", format=kind) as container,
            _Sound(container, sound) as copied,
        ):
            stream = container.add_stream(CODECS.get(kind, "libx264"), rate=rate, options={"crf": QUALITY})
            for number, pixels in enumerate(frames):
                if number == 0:
                    _describe(stream, pixels)
                frame = av.VideoFrame.from_ndarray(pixels, format="rgb24")
                frame = frame.reformat(format=stream.pix_fmt, dst_colorspace="ITU709")
                frame.pts, frame.time_base = number, 1 / rate
                container.mux(stream.encode(frame))
                copied.copy_until(number / rate)
            container.mux(stream.encode())
            copied.copy_until(None)
    except av.FFmpegError as error:
        raise DataError(f"{path}: cannot be written: {error}") from error


def _describe(stream: Any, pixels: Pixels) -> None:
    """Set the size and the meaning of the values. Odd sizes need as many values of color as of brightness."""
    stream.height, stream.width = pixels.shape[:2]
    even = stream.height % 2 == 0 and stream.width % 2 == 0
    stream.pix_fmt = "yuv420p" if even else "yuv444p"
    context = stream.codec_context
    context.colorspace = context.color_primaries = context.color_trc = BT709
    context.color_range = 1  # Black is 16 and white is 235, as players expect.


class _Sound:
    """Copies the sound of another file as it is, a little at a time, so that it lies beside its frames."""

    def __init__(self, container: Any, source: Path | None) -> None:
        self._container, self._file = container, None if source is None else _av().open(str(source))
        streams = [] if self._file is None else self._file.streams.audio[:1]
        self._packets = self._file.demux(streams) if self._file is not None and streams else iter(())
        self._stream = container.add_stream_from_template(streams[0]) if streams else None
        self._next = next(self._packets, None)

    def __enter__(self) -> _Sound:
        return self

    def __exit__(self, *error: object) -> None:
        if self._file is not None:
            self._file.close()

    def copy_until(self, seconds: Fraction | None) -> None:
        """Copy what begins by this time. None: everything."""
        while self._next is not None:
            packet = self._next
            if packet.dts is not None:  # The last one is empty.
                if seconds is not None and packet.dts * packet.time_base > seconds:
                    return
                packet.stream = self._stream
                self._container.mux(packet)
            self._next = next(self._packets, None)


def _av() -> Any:
    with extra("video", "a video file"):
        import av
    return av
