"""TensorBoard events, through tensorboardX, which needs no TensorFlow."""

from __future__ import annotations

from typing import Any

from torch import Tensor

from artschool.engine.run_state import Record, RunState
from artschool.loggers.pictures import grid


class TensorBoardLogger:
    """Writes numbers and pictures as events into the run's folder."""

    def __init__(self) -> None:
        self._writer: Any = None

    def start(self, run: RunState) -> None:
        """Open an event file; what an earlier one says from the present iteration on is hidden."""
        from tensorboardX import SummaryWriter

        # tensorboardX names a file by the second alone, and would overwrite that of a run which ended just now.
        self._writer = SummaryWriter(
            str(run.folder), purge_step=run.iteration or None, filename_suffix=f".{run.iteration}"
        )

    def advance(self, run: RunState) -> None:
        """Nothing to do."""

    def log(self, record: Record) -> None:
        """Write every number under its name."""
        from tensorboardX.proto.summary_pb2 import Summary

        # One event with all numbers: an event for each costs as much again for every name.
        values = [Summary.Value(tag=name, simple_value=value) for name, value in record.items() if name != "iteration"]
        self._writer.file_writer.add_summary(Summary(value=values), int(record["iteration"]))

    def picture(self, key: str, iteration: int, values: Tensor) -> None:
        """Write a grid of the samples."""
        image = grid(values)
        if image is not None:
            self._writer.add_image(key, image, iteration, dataformats="HWC")

    def note(self, message: str) -> None:
        """Nothing: numbers and pictures only."""

    def close(self) -> None:
        """Flush and close."""
        if self._writer is not None:
            self._writer.close()
