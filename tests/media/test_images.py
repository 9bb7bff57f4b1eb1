"""Images keep their depth, their opacity, their profile and their orientation through a file."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import numpy as np
import pytest
import torch
from PIL import Image as Pillow
from PIL import ImageCms

from artschool.components.datasets.image_folder import ImageFolder
from artschool.errors import DataError
from artschool.media.grid import grid
from artschool.media.images import Image, read_image, write_grid, write_image
from tests.reports.test_opening_images import deep_png, with_orientation

RANDOM = np.random.default_rng(0)


def image(channels: int, bits: Literal[8, 16], *, alpha: bool) -> Image:
    white = 2**bits - 1
    values = torch.from_numpy(RANDOM.integers(0, white + 1, (channels + alpha, 5, 7)) / white).float()
    return Image(values[:channels], values[channels:] if alpha else None, bits)


@pytest.mark.parametrize("alpha", [False, True])
@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize(("suffix", "bits"), [(".png", 8), (".png", 16), (".tif", 8)])
def test_a_written_image_is_read_as_it_was(
    tmp_path: Path, suffix: str, bits: Literal[8, 16], channels: int, *, alpha: bool
) -> None:
    written = image(channels, bits, alpha=alpha)
    write_image(tmp_path / f"x{suffix}", written)
    found = read_image(tmp_path / f"x{suffix}")
    assert found.bits == bits
    torch.testing.assert_close(found.color, written.color, atol=1e-7, rtol=0)
    assert (found.alpha is None) == (written.alpha is None)
    if written.alpha is not None:
        torch.testing.assert_close(found.alpha, written.alpha, atol=1e-7, rtol=0)


@pytest.mark.parametrize("channels", [1, 2, 3, 4])
def test_a_deep_png_is_what_others_write(tmp_path: Path, channels: int) -> None:
    values = RANDOM.integers(0, 65536, (4, 5, channels)).astype(np.uint16)
    (tmp_path / "x.png").write_bytes(deep_png(values, {1: 0, 2: 4, 3: 2, 4: 6}[channels]))
    found = read_image(tmp_path / "x.png")
    assert len(found.color) == (3 if channels > 2 else 1)
    both = found.color if found.alpha is None else torch.cat([found.color, found.alpha])
    assert np.array_equal((both * 65535).round().numpy().astype(np.uint16), values.transpose(2, 0, 1))
    write_image(tmp_path / "y.png", found)
    with Pillow.open(tmp_path / "y.png") as opened:  # Pillow reads the high bytes.
        high = np.asarray(opened).reshape(4, 5, -1)[..., :1]
        assert np.array_equal(
            high if channels == 1 else high.astype(np.uint16), values[..., :1] >> (0, 8)[channels > 1]
        )


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("compression", [None, "zlib"])
@pytest.mark.parametrize("channels", [3, 4])
def test_a_deep_tiff_keeps_its_depth_for_training_too(
    tmp_path: Path, channels: int, compression: str | None, order: Literal["<", ">"]
) -> None:
    tifffile = pytest.importorskip("tifffile")
    values = RANDOM.integers(0, 65536, (4, 5, channels)).astype(np.uint16)
    extra = ["unassalpha"] * (channels - 3)
    options = {"photometric": "rgb", "compression": compression, "byteorder": order, "extrasamples": extra}
    tifffile.imwrite(tmp_path / "x.tiff", values, **options)
    found = read_image(tmp_path / "x.tiff")
    expected = torch.from_numpy(values.transpose(2, 0, 1) / 65535).float()
    torch.testing.assert_close(found.color, expected[:3])
    if channels == 4:
        assert found.alpha is not None
        torch.testing.assert_close(found.alpha, expected[3:])
    torch.testing.assert_close(ImageFolder(path=tmp_path)[0]["hq"], expected[:3])


def test_an_image_is_upright_with_its_opacity(tmp_path: Path) -> None:
    pixels = RANDOM.integers(0, 256, (4, 6, 4), dtype=np.uint8)
    Pillow.fromarray(pixels).save(tmp_path / "x.png", exif=with_orientation(6))
    found = read_image(tmp_path / "x.png")
    assert found.alpha is not None
    upright = torch.from_numpy(np.rot90(pixels, 3).copy()).permute(2, 0, 1) / 255
    assert torch.equal(torch.cat([found.color, found.alpha]), upright)


def test_a_transparent_color_of_a_palette_becomes_opacity(tmp_path: Path) -> None:
    palette = Pillow.new("P", (2, 1))
    palette.putpalette([255, 0, 0, 0, 0, 255])
    palette.putdata([0, 1])
    palette.save(tmp_path / "x.png", transparency=0)
    found = read_image(tmp_path / "x.png")
    assert found.alpha is not None
    assert found.alpha.tolist() == [[[0, 1]]]
    assert found.color.tolist() == [[[1, 0]], [[0, 0]], [[0, 1]]]


@pytest.mark.parametrize(("bits", "suffix"), [(8, ".png"), (16, ".png"), (8, ".jpg"), (8, ".webp"), (8, ".tif")])
def test_a_profile_is_kept_where_it_fits(tmp_path: Path, bits: Literal[8, 16], suffix: str) -> None:
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    for channels, kept in ((3, profile), (1, None)):
        write_image(tmp_path / f"x{suffix}", Image(torch.rand(channels, 8, 8), None, bits, profile))
        assert read_image(tmp_path / f"x{suffix}").profile == kept


def test_values_outside_of_the_range_are_cut_off(tmp_path: Path) -> None:
    write_image(tmp_path / "x.png", torch.tensor([-1.0, 0.5, 2.0, float("nan")]).reshape(1, 1, 4))
    with Pillow.open(tmp_path / "x.png") as opened:
        assert np.asarray(opened).tolist() == [[0, 128, 255, 0]]


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("x.png", b"\x89PNG\r\n\x1a\nnothing", r"x\.png: .*Fix: replace the file or remove it"),
        ("x.png", b"", r"x\.png: expected an image \(.*TIFF.*\), got an empty file"),
        ("x.png", None, r"x\.png: cannot be read: No such file"),
    ],
)
def test_a_broken_file_is_named(tmp_path: Path, name: str, content: bytes | None, said: str) -> None:
    if content is not None:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(DataError, match=said):
        read_image(tmp_path / name)


@pytest.mark.parametrize(
    ("name", "written", "said"),
    [
        ("x.gif", Image(torch.zeros(3, 2, 2)), r"x\.gif: expected an image with one of the endings \.png, \.jpg"),
        ("x.jpg", Image(torch.zeros(3, 2, 2), torch.zeros(1, 2, 2)), r"x\.jpg: JPEG cannot hold the opacity"),
        ("x.tif", Image(torch.zeros(3, 2, 2), None, 16), r"x\.tif: TIFF with 16 bits of color cannot be written"),
        ("x.png", Image(torch.zeros(2, 3, 2, 2)), r"x\.png: expected an image \(1 or 3, H, W\), got \(2, 3, 2, 2\)"),
    ],
)
def test_what_a_format_cannot_hold_is_refused(tmp_path: Path, name: str, written: Image, said: str) -> None:
    with pytest.raises(DataError, match=said):
        write_image(tmp_path / name, written)
    assert not list(tmp_path.iterdir())


def test_captions_are_below_their_images(tmp_path: Path) -> None:
    images = torch.stack([torch.full((1, 40, 40), value) for value in (0.0, 0.5, 1.0)])
    plain = grid(images)
    sheet = grid(images, ["7", "", "no room for a text as long as this one is, at all"])
    assert plain is not None
    assert sheet is not None
    assert plain.shape == (82, 82, 3)
    assert sheet.shape == (2 * 56 + 2, 2 * 160 + 2, 3)  # Lines of 16 pixels; a column is widened to 160 at most.
    assert (sheet[:40, 60:100] == 0).all()
    assert (sheet[:40, :60] == 255).all()
    assert sheet[40:56, :160].min() < 100  # "7"
    assert (sheet[40:56, 162:] == 255).all()
    assert sheet[98:114, :160].min() < 100
    write_grid(tmp_path / "x.png", images, ["0", "1", "2"])
    assert read_image(tmp_path / "x.png").color.shape == (3, 114, 82)
    with pytest.raises(DataError, match=r"y\.png: expected images \(B, 1 or 3, H, W\) or \(B, H, W\), got \(2, 8\)"):
        write_grid(tmp_path / "y.png", torch.zeros(2, 8))
