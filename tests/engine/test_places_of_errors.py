"""What a data set refuses is told with its place in the file."""

from __future__ import annotations

from pathlib import Path

import pytest

import artschool
from artschool.errors import DataError

TEXT = """
name: a
data:
  train: {type: image_folder, path: nowhere, size: 8}
networks: {net: {type: edsr, scale: 1, width: 8, blocks: 1}}
steps:
  main:
    trains: net
    optimizer: {type: adamw, lr: 1e-3}
    injectors: {copy: {type: forward, network: net, in: hq, out: y}}
    losses: {loss: {type: l1, in: [y, hq], weight: 1.0}}
train: {iterations: 1, device: cpu}
"""


def test_a_folder_that_is_not_there_is_told_with_the_data_set_s_place(tmp_path: Path) -> None:
    file = tmp_path / "a.yml"
    file.write_text(TEXT)
    with pytest.raises(DataError) as error:
        artschool.load(file, run_dir=tmp_path / "run")
    assert str(error.value) == (
        f"{file}:4:10: data.train: image_folder: nowhere does not exist (expected a folder, .zip or .tar). "
        "Fix: create it or correct the path"
    )
