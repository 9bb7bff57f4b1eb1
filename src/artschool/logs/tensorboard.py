"""Writes TensorBoard events with tensorboardX, which does not need TensorFlow."""

from __future__ import annotations

from typing import Any

from torch import Tensor

from artschool.engine.run_state import Record, RunState
from artschool.logs.pictures import grid


class TensorBoardLogger:
    """Writes numbers and images as events to the run folder."""

    def __init__(self) -> None:
        self._writer: Any = None

    def start(self, run: RunState) -> None:
        """Open an event file. Events of earlier files from `run.next_record` on are hidden."""
        from tensorboardX import SummaryWriter

        # tensorboardX names a file by its second, so a run that resumes within a second would overwrite the file.
        self._writer = SummaryWriter(
            str(run.folder), purge_step=run.next_record or None, filename_suffix=f".{run.iteration}"
        )

    def advance(self, run: RunState) -> None:
        """Ignored."""

    def log(self, record: Record) -> None:
        """Write every number as a scalar."""
        from tensorboardX.proto.summary_pb2 import Summary

        # A single event for all numbers: an event for each number is slower.
        values = [Summary.Value(tag=name, simple_value=value) for name, value in record.items() if name != "iteration"]
        self._writer.file_writer.add_summary(Summary(value=values), int(record["iteration"]))

    def picture(self, key: str, iteration: int, values: Tensor) -> None:
        """Write a grid of the samples."""
        image = grid(values)
        if image is not None:
            self._writer.add_image(key, image, iteration, dataformats="HWC")

    def note(self, message: str) -> None:
        """Ignored."""

    def close(self) -> None:
        """Flush and close."""
        if self._writer is not None:
            self._writer.close()
