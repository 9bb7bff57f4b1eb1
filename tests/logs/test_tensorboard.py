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
from crc32c import crc32c
from PIL import Image
from tensorboardX.crc32c import crc32c as used_crc32c
from tensorboardX.proto.event_pb2 import Event

from artschool.engine.run import Run
from artschool.logs.tensorboard import TensorBoardLogger
from tests.engine import toy_parts


def events(folder: Path) -> Iterator[Any]:
    """Every event of a folder's files: 8 bytes of length, 4 of its checksum, the event, 4 of its checksum."""
    for file in sorted(folder.glob("events.out.tfevents.*")):
        data = file.read_bytes()
        while data:
            (length,) = struct.unpack("<Q", data[:8])
            for part in (slice(0, 8), slice(12, 12 + length)):
                assert struct.unpack("<I", data[part.stop : part.stop + 4]) == (masked(crc32c(data[part])),)
            event = Event()
            event.ParseFromString(data[12 : 12 + length])
            yield event
            data = data[16 + length :]


def masked(checksum: int) -> int:
    """As the format of records in TensorFlow has it: rotated by 15 bits, plus a constant."""
    return ((checksum >> 15 | checksum << 17) + 0xA282EAD8) % 2**32


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
    written = {value.tag for event in events(run.folder) for value in event.summary.value}
    tags = {tag for tag in written if not tag.startswith("_hparams_")}
    assert tags == {"samples", "seconds", "main/mean", "main/total", "main/lr", "main/skipped"}


def test_checksums_are_not_computed_in_python() -> None:
    """In Python, those of a picture of 1 MB would take 80 ms."""
    assert used_crc32c is crc32c


def test_a_resumed_run_hides_what_comes_after_its_checkpoint(tmp_path: Path) -> None:
    trained(tmp_path, "train.iterations=3")
    run = trained(tmp_path, "train.iterations=4")
    starts = [event.step for event in events(run.folder) if event.HasField("session_log")]
    assert starts == [3]
    assert [step for step, _ in scalars(run.folder, "main/mean")] == [0, 1, 2, 3]


@pytest.mark.parametrize("place", ["length", "event", "checksum"])
def test_a_resumed_run_cuts_off_what_follows_a_damaged_event(tmp_path: Path, place: str) -> None:
    run = trained(tmp_path, "train.iterations=3")
    (file,) = run.folder.glob("events.out.tfevents.*")
    data = bytearray(file.read_bytes())
    start = data.index(b"brain.Event:2") + len(b"brain.Event:2") + 4  # The second record of the file.
    data[start + {"length": 0, "event": 20, "checksum": 8}[place]] ^= 0x80
    file.write_bytes(data)
    resumed = trained(tmp_path, "train.iterations=5")
    assert file.stat().st_size == start
    assert [step for step, _ in scalars(resumed.folder, "main/mean")] == [3, 4]


def test_a_picture_is_an_event(tmp_path: Path) -> None:
    run, _ = toy_parts.load(tmp_path)
    logger = TensorBoardLogger()
    logger.start(run)
    logger.picture("sr", 7, torch.full((2, 1, 2, 2), 0.2))
    logger.picture("vector", 7, torch.zeros(2, 4))
    logger.close()
    written = [(event.step, value) for event in events(run.folder) for value in event.summary.value]
    (found,) = [(step, value) for step, value in written if not value.tag.startswith("_hparams_")]
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


def test_runs_are_compared_by_the_settings_of_their_files_and_their_metrics(tmp_path: Path) -> None:
    from tensorboardX.proto.plugin_hparams_pb2 import HParamsPluginData

    run = trained(tmp_path, "train.iterations=2")
    found = {}
    for event in events(run.folder):
        for value in event.summary.value:
            if value.metadata.plugin_data.plugin_name == "hparams":
                found[value.tag] = HParamsPluginData.FromString(value.metadata.plugin_data.content)
    settings = found["_hparams_/session_start_info"].session_start_info.hparams
    assert settings["steps.main.optimizer.lr"].number_value == 0.5
    assert settings["data.train.shuffle"].bool_value is False
    assert settings["networks.net.type"].string_value == "part_shift"
    assert settings["plugins"].string_value.startswith("[")
    metrics = found["_hparams_/experiment"].experiment.metric_infos
    assert [metric.name.tag for metric in metrics] == ["main/total"]  # An evaluation has better ones.
    assert [step for step, _ in scalars(run.folder, "main/total")] == [0, 1]
