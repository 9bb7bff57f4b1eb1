"""Writes TensorBoard events in the format of tensorboardX, which does not need TensorFlow."""

from __future__ import annotations

import socket
import struct
import time
from typing import Any

from torch import Tensor

from artschool.engine.run_state import Record, RunState
from artschool.logs.pictures import grid
from artschool.storage.durable import AppendedFile


class TensorBoardLogger:
    """Writes numbers and images as events to the run folder.

    Each event is in the file when the call returns. The writer of tensorboardX has a queue and a thread instead: a kill
    loses the queue, and a full disk ends the thread, after which the queue fills up and training waits for ever.
    """

    def __init__(self) -> None:
        self._file: AppendedFile | None = None

    def start(self, run: RunState) -> None:
        """Open an event file. Events of earlier files from `run.next_record` on are hidden."""
        from tensorboardX.proto.event_pb2 import SessionLog

        # A run that resumes within a second has a file of its own.
        name = f"events.out.tfevents.{int(time.time()):010d}.{socket.gethostname()}.{run.iteration}"
        run.folder.mkdir(parents=True, exist_ok=True)
        self._file = AppendedFile(run.folder / name)
        self._write(file_version="brain.Event:2")
        if run.next_record:
            self._write(step=run.next_record, session_log=SessionLog(status=SessionLog.START))

    def _write(self, **content: Any) -> None:
        """Append an event, framed as TFRecord: length, its checksum, the event, its checksum."""
        from tensorboardX.proto.event_pb2 import Event
        from tensorboardX.record_writer import masked_crc32c

        assert self._file is not None
        event = Event(wall_time=time.time(), **content).SerializeToString()
        length = struct.pack("<Q", len(event))
        checksums = (struct.pack("<I", masked_crc32c(part)) for part in (length, event))
        self._file.append(b"".join((length, next(checksums), event, next(checksums))))

    def advance(self, run: RunState) -> None:
        """Ignored."""

    def log(self, record: Record) -> None:
        """Write every number as a scalar."""
        from tensorboardX.proto.summary_pb2 import Summary

        # A single event for all numbers: an event for each number is slower.
        values = [Summary.Value(tag=name, simple_value=value) for name, value in record.items() if name != "iteration"]
        self._write(step=int(record["iteration"]), summary=Summary(value=values))

    def picture(self, key: str, iteration: int, values: Tensor) -> None:
        """Write a grid of the samples."""
        from tensorboardX import summary

        image = grid(values)
        if image is not None:
            self._write(step=iteration, summary=summary.image(key, image, dataformats="HWC"))

    def note(self, message: str) -> None:
        """Ignored."""

    def close(self) -> None:
        """Close the file."""
        if self._file is not None:
            self._file.close()
