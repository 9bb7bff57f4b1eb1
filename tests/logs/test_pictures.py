"""Pictures: the grid pixel by pixel, the name of the file, and when they are drawn."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image

from artschool.logs.pictures import PictureLogger
from artschool.media.grid import grid
from tests.engine import toy_run
from tests.engine.toy_parts import load


def pixels(file: Path) -> NDArray[np.uint8]:
    with Image.open(file) as image:
        return np.asarray(image)


def test_two_images_stand_side_by_side_with_a_white_gap() -> None:
    values = torch.stack([torch.full((1, 2, 3), 0.2), torch.full((1, 2, 3), 1.0)])
    values[1, 0, 0, 0] = 0.4
    sheet = grid(values)
    row, white = [51, 51, 51, 255, 255], [255, 255, 255]
    by_hand = np.array([[*row, 102, 255, 255], [*row, *white]], dtype=np.uint8)
    assert sheet is not None
    assert np.array_equal(sheet, np.repeat(by_hand[:, :, None], 3, axis=2))


def test_colours_keep_their_order_and_numbers_outside_are_cut_off() -> None:
    pixel = torch.tensor([-1.0, 0.5, 2.0]).reshape(1, 3, 1, 1)
    sheet = grid(pixel)
    assert sheet is not None
    assert sheet.tolist() == [[[0, 128, 255]]]


def test_numbers_that_are_not_finite_are_drawn_as_black_or_white() -> None:
    sheet = grid(torch.tensor([float("nan"), float("inf"), float("-inf")]).reshape(1, 1, 1, 3))
    assert sheet is not None
    assert sheet[0, :, 0].tolist() == [0, 255, 0]


@pytest.mark.parametrize(
    ("count", "columns", "shape"),
    [(1, 1, (4, 5)), (2, 2, (4, 12)), (3, 2, (10, 12)), (4, 2, (10, 12)), (5, 3, (10, 19)), (7, 3, (16, 19))],
)
def test_images_fill_a_square_row_by_row(count: int, columns: int, shape: tuple[int, int]) -> None:
    sheet = grid(torch.arange(count).reshape(-1, 1, 1).expand(-1, 4, 5) / 255)
    assert sheet is not None
    assert sheet.shape == (*shape, 3)
    # 4 pixels and a gap of 2 to the next row, 5 and a gap of 2 to the next column.
    corners = [int(sheet[index // columns * 6, index % columns * 7, 0]) for index in range(count)]
    assert corners == list(range(count))


@pytest.mark.parametrize("values", [torch.zeros(2, 4, 8, 8), torch.zeros(2, 8), torch.zeros(2, 3, 8, 8).long()])
def test_what_is_no_image_is_left_out(values: torch.Tensor) -> None:
    assert grid(values) is None


def test_half_precision_is_drawn() -> None:
    assert grid(torch.ones(1, 3, 2, 2, dtype=torch.bfloat16)) is not None


@pytest.mark.parametrize(("key", "folder"), [("sr", "sr"), ("../up", "_up"), ("a/b c", "a_b_c"), (".hidden", "hidden")])
def test_a_key_names_a_folder_inside_the_run(tmp_path: Path, key: str, folder: str) -> None:
    run, _ = load(tmp_path)
    logger = PictureLogger()
    logger.start(run)
    logger.picture(key, 12, torch.full((1, 3, 2, 2), 0.2))
    files = [file for file in run.folder.rglob("*") if file.is_file()]
    assert files == [run.folder / "pictures" / folder / "00000012.png"]
    assert np.array_equal(pixels(files[0]), np.full((2, 2, 3), 51))


def test_a_run_draws_its_keys_when_they_are_due(tmp_path: Path) -> None:
    pictures = "log={every: 3, pictures: {every: 2, keys: [lq, sr], most: 3}}"
    run = toy_run.load(tmp_path, pictures, "train.iterations=5", "train.accumulate=2")
    recorder = toy_run.recorded(run)
    run.loggers = [recorder, PictureLogger()]
    run.train()
    # The first of two parts of 4 samples, and 3 of them.
    assert recorder.pictures == [
        ("lq", 2, (3, 3, 4, 4)),
        ("sr", 2, (3, 3, 8, 8)),
        ("lq", 4, (3, 3, 4, 4)),
        ("sr", 4, (3, 3, 8, 8)),
    ]
    files = sorted(str(file.relative_to(run.folder)) for file in run.folder.rglob("*.png"))
    assert files == [f"pictures/{key}/0000000{n}.png" for key in ("lq", "sr") for n in (2, 4)]
    assert pixels(run.folder / "pictures/sr/00000002.png").shape == (18, 18, 3)
