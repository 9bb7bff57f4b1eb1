"""Writes TensorBoard events, with the messages of tensorboardX, which does not need TensorFlow."""

from __future__ import annotations

import os
import re
import socket
import struct
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from torch import Tensor

from artschool.engine.run_state import Record, RunState
from artschool.media.grid import grid
from artschool.storage.durable import AppendedFile

_NAME = re.compile(r"events\.out\.tfevents\.(?P<time>\d{10,})\..*")
_LENGTH, _CHECKSUM = struct.Struct("<Q"), struct.Struct("<I")


class TensorBoardLogger:
    """Writes numbers and images as events to the run folder.

    Each event is in the file when the call returns: a killed process loses none, as one with a thread that writes does.
    """

    def __init__(self) -> None:
        self._file: AppendedFile | None = None

    def start(self, run: RunState) -> None:
        """Remove events from `run.next_record` on, and open a new file. A TensorBoard that is open hides them, too."""
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

    def advance(self, run: RunState) -> None:
        """Ignored."""

    def log(self, record: Record) -> None:
        """Write every number as a scalar."""
        from tensorboardX.proto.event_pb2 import Event
        from tensorboardX.proto.summary_pb2 import Summary

        # A single event for all numbers: an event for each number is slower.
        values = [Summary.Value(tag=name, simple_value=value) for name, value in record.items() if name != "iteration"]
        self._write(Event(step=int(record["iteration"]), summary=Summary(value=values)))

    def picture(self, key: str, iteration: int, values: Tensor) -> None:
        """Write a grid of the samples, at the iteration that has drawn it, as its numbers are."""
        from tensorboardX import summary
        from tensorboardX.proto.event_pb2 import Event

        image = grid(values)
        if image is not None:
            self._write(Event(step=iteration - 1, summary=summary.image(key, image, dataformats="HWC")))

    def note(self, message: str) -> None:
        """Ignored."""

    def close(self) -> None:
        """Close the file."""
        if self._file is not None:
            self._file.close()

    def _write(self, event: Any) -> None:
        """Write a record: its length, a checksum of that, the event, and a checksum of it."""
        from tensorboardX.record_writer import masked_crc32c

        assert self._file is not None
        event.wall_time = time.time()
        data = event.SerializeToString()
        length = _LENGTH.pack(len(data))
        checksums = [_CHECKSUM.pack(masked_crc32c(part)) for part in (length, data)]
        self._file.append(b"".join((length, checksums[0], data, checksums[1])))


def _event_files(folder: Path) -> Iterator[tuple[Path, int]]:
    """The event files of a folder with the times in their names. Links are left out."""
    for path in sorted(folder.glob("events.out.tfevents.*")):
        match = _NAME.fullmatch(path.name)
        if match and path.is_file() and not path.is_symlink():
            yield path, int(match["time"])


def _cut(file: Path, step: int) -> None:
    """Cut off an event file before its first numbers or images of a step or a later one, or before a half record."""
    from tensorboardX.proto.event_pb2 import Event

    size, end = file.stat().st_size, 0
    with file.open("rb") as stream:
        while (head := stream.read(12)) and len(head) == 12:
            (length,) = _LENGTH.unpack(head[:8])
            if length > size - end - 16:
                break
            event = Event.FromString(stream.read(length))
            if event.HasField("summary") and event.step >= step:
                break
            stream.seek(_CHECKSUM.size, os.SEEK_CUR)
            end = stream.tell()
    if end < size:
        os.truncate(file, end)
