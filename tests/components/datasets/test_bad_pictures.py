"""Files that are no pictures, or odd ones: refused with their path, or read rightly; a run replaces or stops."""

from __future__ import annotations

import io
import os
import struct
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from artschool.components.datasets.image_folder import ImageFolder
from artschool.errors import DataError
from tests.engine import toy_run


def encoded(form: str, image: Image.Image | None = None, **options: object) -> bytes:
    picture = image or Image.fromarray(np.random.default_rng(0).integers(0, 255, (32, 32, 3), dtype=np.uint8))
    buffer = io.BytesIO()
    picture.save(buffer, form, **options)
    return buffer.getvalue()


def chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def bomb(side: int) -> bytes:
    """A PNG of a few bytes that says it has side x side pixels."""
    head = struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(bytes(100)))


BAD: dict[str, tuple[Callable[[], bytes], str]] = {
    "empty.png": (lambda: b"", r"expected an image \(BMP, JPEG, PNG, TIFF, WEBP\), got an empty file\. "),
    "page.jpg": (lambda: b"<!DOCTYPE html><p>404</p>", r"expected an image \(BMP, .*\), got another format\. "),
    "cut.jpg": (lambda: encoded("JPEG", quality=95)[:-200], r"image is damaged: image file is truncated.*\. "),
    "cut.png": (lambda: encoded("PNG")[:900], r"image is damaged: .*\. "),
    "bomb.png": (lambda: bomb(60000), r"image is too large: Image size \(3600000000 pixels\) exceeds limit .*\. "),
    "big.png": (lambda: bomb(10000), r"image is too large: Image size \(100000000 pixels\) exceeds limit .*\. "),
    "other.png": (lambda: encoded("GIF"), r"expected an image \(BMP, .*\), got another format\. "),
}


@pytest.mark.parametrize("name", BAD)
def test_what_is_no_picture_is_refused_with_its_path(tmp_path: Path, name: str) -> None:
    data, text = BAD[name]
    (tmp_path / name).write_bytes(data())
    with pytest.raises(DataError, match=rf"^{tmp_path}/{name}: {text}Fix: replace the file or remove it$"):
        ImageFolder(path=tmp_path)[0]


def test_a_folder_and_a_dangling_link_are_no_pictures(tmp_path: Path) -> None:
    (tmp_path / "a.png").mkdir()
    (tmp_path / "b.png").symlink_to(tmp_path / "nowhere.png")
    folder = ImageFolder(path=tmp_path)
    with pytest.raises(DataError, match=rf"^{tmp_path}/a\.png: cannot be read: Is a directory\. Fix: replace "):
        folder[0]
    said = rf"^{tmp_path}/b\.png: expected a file, got a broken link to {tmp_path}/nowhere\.png\. Fix: restore "
    with pytest.raises(DataError, match=said):
        folder[1]


def test_a_link_to_itself_is_no_picture_and_hides_no_other(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(encoded("PNG"))
    (tmp_path / "b.png").symlink_to(tmp_path / "b.png")
    folder = ImageFolder(path=tmp_path)
    assert len(folder) == 2
    assert folder[0]["hq"].shape[0] == 3
    with pytest.raises(
        DataError, match=rf"^{tmp_path}/b\.png: expected a file, got a broken link to {tmp_path}/b\.png"
    ):
        folder[1]


def test_what_has_no_end_is_no_picture(tmp_path: Path) -> None:
    """Reading it would take all memory, or wait for ever."""
    (tmp_path / "a.png").symlink_to("/dev/zero")
    os.mkfifo(tmp_path / "b.png")
    folder = ImageFolder(path=tmp_path)
    for index, name in enumerate(("a.png", "b.png")):
        with pytest.raises(DataError, match=f"{name}: expected a file, got a device or a pipe. Fix: replace"):
            folder[index]


@pytest.mark.parametrize(
    ("image", "expected"),
    [
        (Image.new("CMYK", (2, 2), (0, 255, 255, 0)), (1.0, 0.0, 0.0)),
        (Image.new("RGB", (2, 2), (0, 0, 255)).quantize(2), (0.0, 0.0, 1.0)),
        (Image.fromarray(np.full((2, 2), 32896, dtype=np.uint16)), (32896 / 65535,) * 3),
        (Image.new("RGBA", (2, 2), (255, 0, 0, 9)), (1.0, 0.0, 0.0)),
        (Image.new("LA", (2, 2), (51, 9)), (0.2, 0.2, 0.2)),
        (Image.new("1", (2, 2), 1), (1.0, 1.0, 1.0)),
    ],
    ids=["cmyk", "palette", "16 bit", "transparent", "grey with transparency", "black and white"],
)
@pytest.mark.parametrize("size", [None, 1])
def test_odd_pictures_are_read_rightly(
    tmp_path: Path, image: Image.Image, expected: tuple[float, float, float], size: int | None
) -> None:
    form, ending = ("JPEG", "jpg") if image.mode == "CMYK" else ("PNG", "png")
    (tmp_path / f"x.{ending}").write_bytes(encoded(form, image, **({"quality": 100} if form == "JPEG" else {})))
    for crop in ("random", "middle"):
        hq = ImageFolder(path=tmp_path, size=size, crop=crop)[0]["hq"]
        torch.testing.assert_close(hq[:, 0, 0], torch.tensor(expected), atol=0.02 if form == "JPEG" else 1e-6, rtol=0)


def test_a_picture_of_one_pixel_is_read(tmp_path: Path) -> None:
    Image.new("RGB", (1, 1), (255, 0, 0)).save(tmp_path / "dot.png")
    assert ImageFolder(path=tmp_path)[0]["hq"].flatten().tolist() == [1, 0, 0]


def write(folder: Path, good: int) -> None:
    folder.mkdir()
    for name, (data, _) in BAD.items():
        (folder / name).write_bytes(data())
    (folder / "folder.png").mkdir()
    (folder / "link.png").symlink_to(folder / "nowhere")
    for index in range(good):
        (folder / f"good{index}.png").write_bytes(encoded("PNG"))


def run_on(tmp_path: Path, *overrides: str) -> list[str]:
    data = f"data.train={{type: image_folder, path: {tmp_path / 'pictures'}, scale: 2, batch_size: 5}}"
    run = toy_run.load(tmp_path, data, "train.iterations=3", *overrides)
    recorder = toy_run.recorded(run)
    run.train()
    return recorder.notes


@pytest.mark.parametrize("workers", [0, 2])
def test_a_run_goes_on_without_the_bad_ones_and_lists_them(tmp_path: Path, workers: int) -> None:
    write(tmp_path / "pictures", good=6)
    notes = run_on(tmp_path, f"data.train.workers={workers}", f"data.train.max_bad={len(BAD) + 2}")
    lines = notes[-1].splitlines()
    assert lines[0] == f"warning: data.train: {len(BAD) + 2} samples could not be read and were replaced:"
    assert all(any(name in line for line in lines[1:]) for name in [*BAD, "folder.png", "link.png"])
    assert len(notes) == len(BAD) + 3


@pytest.mark.parametrize(("good", "max_bad"), [(6, 0), (6, 2), (0, 0), (0, 100)])
def test_a_run_stops_with_exit_code_3(tmp_path: Path, good: int, max_bad: int) -> None:
    write(tmp_path / "pictures", good)
    with pytest.raises(DataError) as error:
        run_on(tmp_path, f"data.train.max_bad={max_bad}")
    assert error.value.exit_code == 3
