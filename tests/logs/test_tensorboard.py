"""TensorBoard events: read back record by record."""

from __future__ import annotations

import io
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from tensorboardX.proto.event_pb2 import Event

from artschool.engine.run import Run
from artschool.logs.tensorboard import TensorBoardLogger
from tests.engine import toy_parts


def events(folder: Path) -> Iterator[Any]:
    """Every event of a folder's files: 8 bytes of length, 4 of a checksum, the event, 4 of a checksum."""
    for file in sorted(folder.glob("events.out.tfevents.*")):
        data = file.read_bytes()
        while data:
            (length,) = struct.unpack("<Q", data[:8])
            event = Event()
            event.ParseFromString(data[12 : 12 + length])
            yield event
            data = data[16 + length :]


def scalars(folder: Path, tag: str) -> list[tuple[int, float]]:
    return [
        (event.step, value.simple_value)
        for event in events(folder)
        for value in event.summary.value
        if value.tag == tag
    ]


def trained(folder: Path, *overrides: str) -> Run:
    run, _ = toy_parts.load(folder, *overrides)
    run.loggers = [TensorBoardLogger()]
    return run.train()


def test_every_number_is_an_event_at_its_iteration(tmp_path: Path) -> None:
    run = trained(tmp_path, "train.iterations=3")
    assert scalars(run.folder, "main/mean") == [(0, 0.5), (1, 2.0), (2, 3.5)]
    assert scalars(run.folder, "main/lr") == [(0, 0.5), (1, 0.5), (2, 0.5)]
    tags = {value.tag for event in events(run.folder) for value in event.summary.value}
    assert tags == {"samples", "seconds", "main/mean", "main/total", "main/lr", "main/skipped"}


def test_a_resumed_run_hides_what_comes_after_its_checkpoint(tmp_path: Path) -> None:
    trained(tmp_path, "train.iterations=3")
    run = trained(tmp_path, "train.iterations=4")
    starts = [event.step for event in events(run.folder) if event.HasField("session_log")]
    assert starts == [3]
    assert [step for step, _ in scalars(run.folder, "main/mean")] == [0, 1, 2, 3]


def test_a_picture_is_an_event(tmp_path: Path) -> None:
    run, _ = toy_parts.load(tmp_path)
    logger = TensorBoardLogger()
    logger.start(run)
    logger.picture("sr", 7, torch.full((2, 1, 2, 2), 0.2))
    logger.picture("vector", 7, torch.zeros(2, 4))
    logger.close()
    (found,) = [(event.step, value) for event in events(run.folder) for value in event.summary.value]
    assert (found[0], found[1].tag) == (6, "sr")  # Iterations are counted from 0, as for numbers.
    image = np.asarray(Image.open(io.BytesIO(found[1].image.encoded_image_string)))
    assert image[:, :, 0].tolist() == [[51, 51, 255, 255, 51, 51]] * 2


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_number_that_is_not_finite_is_written(tmp_path: Path, value: float) -> None:
    run, _ = toy_parts.load(tmp_path)
    logger = TensorBoardLogger()
    logger.start(run)
    logger.log({"iteration": 1, "samples": 2, "a": value})
    logger.close()
    assert str(scalars(run.folder, "a")) == str([(1, value)])


def test_nothing_is_written_before_a_run_starts(tmp_path: Path) -> None:
    TensorBoardLogger().close()
    assert list(tmp_path.iterdir()) == []
