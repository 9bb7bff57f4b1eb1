"""Writes TensorBoard events, with the messages of tensorboardX, which does not need TensorFlow."""

from __future__ import annotations

import os
import re
import socket
import struct
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from torch import Tensor

from artschool.config.write import flow
from artschool.engine.logger import Record
from artschool.engine.run_state import RunState
from artschool.media.audio import encode_wav
from artschool.media.grid import grid
from artschool.paths import is_file
from artschool.storage.appended_file import AppendedFile
from artschool.storage.durable import own_file

_NAME = re.compile(r"events\.out\.tfevents\.(?P<time>\d{10,})\..*")
_LENGTH, _CHECKSUM, _SIZE_OF_GIF = struct.Struct("<Q"), struct.Struct("<I"), struct.Struct("<HH")


class TensorBoardLogger:
    """Writes numbers and images as events to the run folder.

    Each event is in the file when the call returns: a killed process loses none, as one with a thread that writes does.
    """

    def __init__(self) -> None:
        self._file: AppendedFile | None = None

    def start(self, run: RunState) -> None:
        """Remove events from `run.next_record` on, and open a new file with the settings of the run.

        A TensorBoard that is open hides the removed events, too.
        """
        from tensorboardX.proto.event_pb2 import Event, SessionLog

        run.folder.mkdir(parents=True, exist_ok=True)
        latest = int(time.time())
        for file, created in _event_files(run.folder):
            _cut(file, run.next_record)
            latest = max(latest, created + 1)  # TensorBoard reads files in the order of their names.
        name = f"events.out.tfevents.{latest:010d}.{socket.gethostname()}.{run.iteration}"
        self._file = AppendedFile(run.folder / name)
        self._write(Event(file_version="brain.Event:2"))
        if run.next_record:
            self._write(Event(step=run.next_record, session_log=SessionLog(status=SessionLog.START)))
        for summary in _hyperparameters(run):
            self._write(Event(step=run.next_record, summary=summary))

    def log(self, record: Record) -> None:
        """Write every number as a scalar."""
        from tensorboardX.proto.event_pb2 import Event

        event = Event(step=int(record["iteration"]))  # A single one for all numbers: one for each is slower.
        for name, value in record.items():
            if name != "iteration":
                event.summary.value.add(tag=name, simple_value=value)
        self._write(event)

    def picture(self, key: str, iteration: int, values: Tensor) -> None:
        """Write a grid of the samples, at the iteration that has drawn it, as its numbers are."""
        from tensorboardX import summary
        from tensorboardX.proto.event_pb2 import Event

        image = grid(values)
        if image is not None:
            self._write(Event(step=iteration - 1, summary=summary.image(key, image, dataformats="HWC")))

    def audio(self, key: str, iteration: int, waves: Sequence[Tensor], rate: int) -> None:
        """Write each sample as sound."""
        from tensorboardX.proto.event_pb2 import Event
        from tensorboardX.proto.summary_pb2 import Summary

        values = []
        for number, wave in enumerate(waves):
            sound = Summary.Audio(
                sample_rate=rate,
                num_channels=len(wave),
                length_frames=wave.shape[1],
                encoded_audio_string=encode_wav(wave, rate),
                content_type="audio/wav",
            )
            values.append(Summary.Value(tag=f"{key}/{number}", audio=sound))
        self._write(Event(step=iteration - 1, summary=Summary(value=values)))

    def video(self, key: str, iteration: int, gif: bytes) -> None:
        """Write an animated image, which TensorBoard shows among the images."""
        from tensorboardX.proto.event_pb2 import Event
        from tensorboardX.proto.summary_pb2 import Summary

        width, height = _SIZE_OF_GIF.unpack_from(gif, offset=6)
        image = Summary.Image(height=height, width=width, colorspace=3, encoded_image_string=gif)
        self._write(Event(step=iteration - 1, summary=Summary(value=[Summary.Value(tag=key, image=image)])))

    def close(self) -> None:
        """Close the file."""
        if self._file is not None:
            self._file.close()

    def _write(self, event: Any) -> None:
        """Write a record: its length, a checksum of that, the event, and a checksum of it."""
        assert self._file is not None
        event.wall_time = time.time()
        data = event.SerializeToString()
        length = _LENGTH.pack(len(data))
        self._file.append(b"".join((length, _checksum(length), data, _checksum(data))))


def _checksum(data: bytes) -> bytes:
    from tensorboardX.record_writer import masked_crc32c

    return _CHECKSUM.pack(masked_crc32c(data))


def _hyperparameters(run: RunState) -> Iterator[Any]:
    """The settings that the file writes, and the numbers by which TensorBoard compares runs."""
    from tensorboardX.summary import hparams

    metrics = [f"{evaluation.name}/{metric}" for evaluation in run.evaluations for metric in evaluation.metrics]
    losses = [f"{step.graph.name}/total" for step in run.steps]
    experiment, start, _ = hparams(dict(_flat(run.config)), dict.fromkeys(metrics or losses))
    yield from (experiment, start)


def _flat(value: Any, path: str = "") -> Iterator[tuple[str, float | str | bool]]:
    """Each setting by its path. A list is one text."""
    if isinstance(value, Mapping):
        for name, part in value.items():
            yield from _flat(part, f"{path}.{name}" if path else name)
    elif value is not None:
        yield path, flow(value) if isinstance(value, list) else value


def _event_files(folder: Path) -> Iterator[tuple[Path, int]]:
    """The event files of a folder with the times in their names. Links are left out."""
    for path in sorted(folder.glob("events.out.tfevents.*")):
        match = _NAME.fullmatch(path.name)
        if match and is_file(path) and not path.is_symlink():
            yield path, int(match["time"])


def _cut(file: Path, step: int) -> None:
    """Cut off an event file before its first numbers or images of a step or a later one, or before a damaged record.

    TensorBoard reads nothing after a record that is damaged or incomplete.
    """
    from tensorboardX.proto.event_pb2 import Event

    size, end = file.stat().st_size, 0
    with file.open("rb") as stream:
        while (head := stream.read(12)) and len(head) == 12:
            (length,) = _LENGTH.unpack(head[:8])
            if length > size - end - 16:
                break
            data, checksum = stream.read(length), stream.read(_CHECKSUM.size)
            if head[8:] + checksum != _checksum(head[:8]) + _checksum(data):
                break
            event = Event.FromString(data)
            if event.HasField("summary") and event.step >= step:
                break
            end = stream.tell()
    if end < size:
        own_file(file)
        os.truncate(file, end)
