"""Small image folders, and the command in the test's process."""

from __future__ import annotations

import io
import sys
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path
from unittest.mock import patch

import numpy as np
from PIL import Image

from artschool.cli.main import main

SUPER_RESOLUTION = """
name: sr
data:
  train: {type: image_folder, path: pics, size: 16, scale: 2, batch_size: 2}
  val: {type: image_folder, path: held, scale: 2, batch_size: 2}
networks:
  gen: {type: edsr, scale: 2, width: 8, blocks: 1}
steps:
  gen:
    trains: gen
    optimizer: {type: adamw, lr: 1e-3}
    injectors: {up: {type: forward, network: gen, in: lq, out: sr}}
    losses: {pix: {type: l1, in: [sr, hq], weight: 1.0}}
train: {iterations: 4, device: cpu}
evaluate:
  v:
    data: val
    injectors: {up: {type: forward, network: gen, in: lq, out: sr}}
    metrics: {psnr: {type: psnr, in: [sr, hq]}}
"""
"""Trains and evaluates on the folders `pics` and `held`."""


ONE_STEP = """
name: {name}
plugins: [{plugin}]
data: {{train: {{type: {data}, batch_size: 2}}}}
networks: {{net: {{type: {network}}}}}
steps:
  main:
    trains: net
    optimizer: {{type: sgd, lr: 0.01}}
    injectors: {{y: {{type: forward, network: net, in: {reads}, out: y}}}}
    losses: {{fit: {{type: {loss}, weight: 1.0}}}}
train: {{iterations: 4, device: cpu}}
"""


def one_step(name: str, *, plugin: str, data: str, network: str, loss: str, reads: str = "x") -> str:
    """A file that trains one network for four iterations.

    Args:
        data: Type and options of the data set; `network` and `loss` likewise. The loss reads `y`, which the network
            makes of the key `reads`.
    """
    return ONE_STEP.format(name=name, plugin=plugin, data=data, network=network, loss=loss, reads=reads)


def write_images(folder: Path, count: int, height: int = 40, width: int = 48) -> None:
    """Write `000.png`, `001.png`, ..., all different, into a new folder."""
    folder.mkdir(parents=True)
    rows, columns = np.mgrid[:height, :width]
    for index in range(count):
        channels = [columns * 4 + index * 7, rows * 5, rows * columns + index]
        Image.fromarray((np.stack(channels, -1) % 256).astype(np.uint8)).save(folder / f"{index:03}.png")


def artschool(*arguments: str) -> tuple[int, str]:
    """Run the command in this process. Returns the exit code and everything that it prints."""
    printed = io.StringIO()
    with redirect_stdout(printed), redirect_stderr(printed), patch.object(sys, "argv", ["artschool", *arguments]):
        try:
            main()
        except SystemExit as stop:
            return int(stop.code or 0), printed.getvalue()
    return 0, printed.getvalue()
