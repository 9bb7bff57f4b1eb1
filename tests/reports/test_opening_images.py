"""Orientation, depth, modes, the mean over areas, and images that are too small."""

from __future__ import annotations

import struct
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image, ImageOps

from artschool.components.datasets.crop_tree import CropTree
from artschool.components.datasets.image_folder import ImageFolder
from artschool.components.datasets.squares import center_square
from artschool.errors import DataError
from artschool.media.pixels import from_pillow, to_tensor
from tests.reports.small import SUPER_RESOLUTION, artschool, write_images

RANDOM = np.random.default_rng(0)


def with_orientation(code: int) -> bytes:
    exif = Image.Exif()
    exif[0x0112] = code
    return exif.tobytes()


@pytest.mark.parametrize("form", ["png", "jpg", "webp"])
@pytest.mark.parametrize("code", range(10))
def test_images_are_upright_as_viewers_show_them(tmp_path: Path, form: str, code: int) -> None:
    image = Image.fromarray(RANDOM.integers(0, 256, (4, 6, 3), dtype=np.uint8))
    lossless: dict[str, Any] = {"lossless": True} if form == "webp" else {}
    image.save(tmp_path / f"x.{form}", exif=with_orientation(code), **lossless)
    with Image.open(tmp_path / f"x.{form}") as opened:
        expected = np.asarray(ImageOps.exif_transpose(opened).convert("RGB"))
    assert expected.shape[:2] == ((6, 4) if code in (5, 6, 7, 8) else (4, 6))
    hq = ImageFolder(path=tmp_path)[0]["hq"]
    assert torch.equal((hq * 255).round().to(torch.uint8), torch.from_numpy(expected.copy()).permute(2, 0, 1))


def test_an_image_of_another_package_is_turned_too() -> None:
    image = Image.fromarray(RANDOM.integers(0, 256, (4, 6), dtype=np.uint8))
    image.info["exif"] = with_orientation(6)
    assert from_pillow(image.convert("RGB"), "x").shape == (6, 4, 3)


def test_metadata_that_cannot_be_read_turns_nothing(tmp_path: Path) -> None:
    Image.new("RGB", (6, 4)).save(tmp_path / "x.jpg", exif=b"Exif\0\0II*\0\xff\xff\xff\xff nothing")
    assert ImageFolder(path=tmp_path)[0]["hq"].shape == (3, 4, 6)


def chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def deep_png(values: NDArray[Any], kind: int) -> bytes:
    """A PNG with 16 bits per channel, which Pillow cannot write."""
    height, width = values.shape[:2]
    # The rows alternate between the filters `none` and `sub` (differences to the pixel on the left).
    pixel = 2 * values.shape[2]
    rows = []
    for number, row in enumerate(values.astype(">u2")):
        data = np.frombuffer(row.tobytes(), np.uint8)
        left = np.concatenate([np.zeros(pixel, np.uint8), data[:-pixel]])
        rows.append(b"\0" + data.tobytes() if number % 2 == 0 else b"\1" + (data - left).tobytes())
    head = struct.pack(">IIBBBBB", width, height, 16, kind, 0, 0, 0)
    body = chunk(b"IDAT", zlib.compress(b"".join(rows)))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + body + chunk(b"IEND", b"")


@pytest.mark.parametrize(("kind", "channels", "kept"), [(0, 1, 1), (2, 3, 3), (4, 2, 1), (6, 4, 3)])
def test_sixteen_bits_keep_their_depth(tmp_path: Path, kind: int, channels: int, kept: int) -> None:
    values = RANDOM.integers(0, 65536, (4, 5, channels)).astype(np.uint16)
    (tmp_path / "x.png").write_bytes(deep_png(values, kind))
    expected = torch.from_numpy(values[..., :kept].astype(np.float32) / np.float32(65535)).permute(2, 0, 1)
    torch.testing.assert_close(ImageFolder(path=tmp_path)[0]["hq"], expected.expand(3, -1, -1), atol=1e-7, rtol=0)


@pytest.mark.parametrize(
    ("values", "said"),
    [
        (np.array([[0.0, 255.0]], np.float32), r"^x: expected values in 0\.\.1, got 0\.\.255\. Fix: replace "),
        (np.array([[0.0, np.nan]], np.float32), r"^x: expected values in 0\.\.1, got nan\.\.nan\. Fix: replace "),
        (np.array([[-1, 70000]], np.int32), r"^x: expected values in 0\.\.65535, got -1\.\.70000\. Fix: replace "),
    ],
)
def test_values_out_of_range_are_refused(values: NDArray[Any], said: str) -> None:
    with pytest.raises(DataError, match=said):
        from_pillow(Image.fromarray(values), "x")


def test_values_in_range_are_kept() -> None:
    found = to_tensor(from_pillow(Image.fromarray(np.array([[0.25, 1.0]], np.float32)), "x"))
    assert found.tolist() == [[[0.25, 1.0]]] * 3
    found = to_tensor(from_pillow(Image.fromarray(np.array([[0, 65535]], np.int32)), "x"))
    assert found.tolist() == [[[0.0, 1.0]]] * 3


def test_a_transparent_pixel_keeps_its_color_and_the_first_frame_counts(tmp_path: Path) -> None:
    palette = Image.new("P", (2, 1))
    palette.putpalette([255, 0, 0, 0, 0, 255])
    palette.putdata([0, 1])
    palette.save(tmp_path / "a.png", transparency=0)
    frames = [Image.new("RGB", (2, 1), color) for color in ((0, 255, 0), (255, 0, 0))]
    frames[0].save(tmp_path / "b.png", save_all=True, append_images=frames[1:])
    frames[0].save(tmp_path / "c.webp", save_all=True, append_images=frames[1:], lossless=True)
    folder = ImageFolder(path=tmp_path)
    assert folder[0]["hq"][:, 0].tolist() == [[1, 0], [0, 0], [0, 1]]
    for index in (1, 2):
        assert folder[index]["hq"][:, 0].tolist() == [[0, 0], [1, 1], [0, 0]]


def area_mean(values: NDArray[Any], size: int) -> NDArray[Any]:
    """The mean by a matrix of overlaps."""
    edges = np.arange(size + 1) * len(values) / size
    pixels = np.arange(len(values))
    overlap = np.minimum(edges[1:, None], pixels + 1) - np.maximum(edges[:-1, None], pixels)
    weights = overlap.clip(0) * size / len(values)
    mean: NDArray[Any] = np.einsum("ij,jkc,lk->ilc", weights, values, weights)
    return mean


@pytest.mark.parametrize(("side", "size"), [(24, 16), (17, 5), (7, 6), (12, 4), (9, 1), (5, 5)])
@pytest.mark.parametrize("white", [1, 255, 65535])
def test_the_middle_is_reduced_by_the_mean_over_areas(side: int, size: int, white: int) -> None:
    kind = {1: np.float32, 255: np.uint8, 65535: np.uint16}[white]
    values = (RANDOM.random((side, side, 3)) * white).astype(kind)
    found = to_tensor(center_square(values, size, "x")).permute(1, 2, 0).numpy()
    np.testing.assert_allclose(found, area_mean(values, size) / white, atol=1e-6)


def test_a_ramp_keeps_its_mean(tmp_path: Path) -> None:
    Image.fromarray(np.tile((np.arange(24) * 8).astype(np.uint8), (24, 1))).save(tmp_path / "ramp.png")
    row = ImageFolder(path=tmp_path, size=16, crop="middle")[0]["hq"][0, 0] * 255
    assert [round(value, 1) for value in row[:4].tolist()] == [2.7, 13.3, 26.7, 37.3]
    assert float(row.mean()) == pytest.approx(92)


def test_what_is_smaller_is_never_enlarged(tmp_path: Path) -> None:
    Image.new("RGB", (10, 7)).save(tmp_path / "tiny.png")
    said = (
        r"tiny\.png: image is smaller than a patch \(expected at least 16 x 16, got 10 x 7\)\. Fix: lower `size`, or "
    )
    for crop in ("middle", "random"):
        with pytest.raises(DataError, match=said):
            ImageFolder(path=tmp_path, size=16, crop=crop)[0]
    with pytest.raises(DataError, match=said):
        CropTree(path=tmp_path, size=4, levels=3)[0]
    said = (
        r"^tiny\.png: image is smaller than `scale` \(expected at least 8 x 8, got 10 x 7\)\. Fix: lower `scale`, or "
    )
    with pytest.raises(DataError, match=said):
        ImageFolder(path=tmp_path, scale=8)[0]


def test_a_small_image_is_a_bad_sample(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    write_images(tmp_path / "pics", 2)
    write_images(tmp_path / "held", 1)
    Image.new("RGB", (10, 7)).save(tmp_path / "pics" / "tiny.png")
    (tmp_path / "sr.yml").write_text(SUPER_RESOLUTION)
    train = ("train", "sr.yml", "--no-trace", "data.train.crop=middle")
    assert artschool(*train)[0] == 3
    code, printed = artschool(*train, "data.train.max_bad=1")
    assert code == 0
    assert "pics/tiny.png: image is smaller than a patch" in printed
