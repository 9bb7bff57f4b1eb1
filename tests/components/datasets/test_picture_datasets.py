"""Pictures from folders and from the wheels of other packages."""

from __future__ import annotations

import importlib.util
import io
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from artschool.components.datasets.image_folder import ImageFolder
from artschool.components.datasets.pairs import make_pair, random_patch
from artschool.components.datasets.photos import PhotoPatches, Photos
from artschool.components.datasets.pictures import orient, orient_pixels
from artschool.errors import DataError, ResourceError
from artschool.media.pixels import Picture, from_pillow, to_tensor


def save(path: Path, width: int = 12, height: int = 8, mode: str = "RGB") -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new(mode, (width, height), 100 if mode == "L" else (255, 128, 0)).save(path)


def test_a_picture_is_channels_first_in_0_to_1() -> None:
    image = Image.fromarray(np.array([[[255, 0, 51]]], dtype=np.uint8))
    torch.testing.assert_close(to_tensor(from_pillow(image, "x")), torch.tensor([1.0, 0.0, 0.2]).reshape(3, 1, 1))


def test_a_pair_is_cropped_to_a_multiple_and_shrunk() -> None:
    pair = make_pair(torch.full((3, 7, 9), 0.25), 2, "x")
    assert pair["hq"].shape == (3, 6, 8)
    torch.testing.assert_close(pair["lq"], torch.full((3, 3, 4), 0.25))


def test_a_patch_is_cut_where_the_generator_says() -> None:
    image = torch.arange(3 * 6 * 6.0).reshape(3, 6, 6)
    torch.manual_seed(3)
    first = random_patch(image, 4, augment=True, name="x")
    torch.manual_seed(3)
    assert torch.equal(random_patch(image, 4, augment=True, name="x"), first)
    corners = set()
    for seed in range(60):
        torch.manual_seed(seed)
        corners.add(int(random_patch(image, 4, augment=False, name="x")[0, 0, 0]))
    assert corners == {0, 1, 2, 6, 7, 8, 12, 13, 14}


@pytest.mark.parametrize("flip", [False, True])
@pytest.mark.parametrize("quarters", [0, 1, 2, 3])
def test_pixels_are_oriented_as_tensors_are(flip: bool, quarters: int) -> None:
    pixels = np.arange(4 * 6 * 3, dtype=np.uint8).reshape(4, 6, 3)
    turned = to_tensor(orient_pixels(pixels, (flip, quarters)))
    assert turned.is_contiguous()
    assert torch.equal(turned, orient(to_tensor(pixels), (flip, quarters)))


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA", "I;16"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_square_is_a_part_of_all_pixels(mode: str, orientation: int) -> None:
    drawn = np.random.default_rng(orientation).integers(0, 256, (6, 9, 4), dtype=np.uint8)
    image = Image.fromarray(drawn[..., 0].astype(np.uint16) * 257) if mode == "I;16" else Image.fromarray(drawn)
    image = image if mode == "I;16" else image.convert("RGB" if mode == "P" else mode).convert(mode)
    exif = Image.Exif()
    exif[0x0112] = orientation
    file = io.BytesIO()
    image.save(file, "PNG", exif=exif)
    picture = Picture(file.getvalue(), "x.png")
    pixels = picture.pixels()
    assert pixels.shape[:2] == (picture.height, picture.width) == ((6, 9) if orientation < 5 else (9, 6))
    np.testing.assert_array_equal(picture.square(1, 2, 4), pixels[1:5, 2:6])


def test_a_picture_smaller_than_a_patch_is_named() -> None:
    said = r"^small\.png: image is smaller than a patch \(expected at least 8 x 8, got 6 x 5\)\. Fix: lower `size`, or "
    with pytest.raises(DataError, match=said):
        random_patch(torch.zeros(3, 5, 6), 8, augment=False, name="small.png")


def test_a_folder_is_read_in_the_order_of_names(tmp_path: Path) -> None:
    for name in ("b.png", "a.JPG", "deep/c.webp"):
        save(tmp_path / name)
    (tmp_path / "notes.txt").write_text("no picture")
    folder = ImageFolder(path=tmp_path, scale=2)
    assert [folder[index]["name"] for index in range(len(folder))] == ["a.JPG", "b.png", "c.webp"]
    assert folder[1]["hq"].shape == (3, 8, 12) and folder[1]["lq"].shape == (3, 4, 6)


def test_grey_pictures_have_three_channels(tmp_path: Path) -> None:
    save(tmp_path / "grey.png", mode="L")
    assert torch.equal(ImageFolder(path=tmp_path)[0]["hq"], torch.full((3, 8, 12), 100 / 255))


def test_a_folder_that_is_missing_or_empty_is_told(tmp_path: Path) -> None:
    said = rf"^image_folder: {tmp_path}/none does not exist \(expected a folder, \.zip or \.tar\)\. Fix: create it or "
    with pytest.raises(DataError, match=said):
        ImageFolder(path=tmp_path / "none")
    with pytest.raises(
        DataError,
        match=r"no images in .* \(expected \.png, \.jpg, \.jpeg, \.webp, \.bmp, \.tif, \.tiff, got no files\)\. "
        r"Fix: add ",
    ):
        ImageFolder(path=tmp_path)


def test_the_photographs_are_there() -> None:
    val = Photos(split="val")
    assert [val[index]["name"] for index in range(len(val))] == ["china.jpg", "flower.jpg"]
    assert val[0]["hq"].shape == (3, 426, 640) and val[0]["lq"].shape == (3, 213, 320)
    train = Photos(split="train")
    assert len(train) == 8
    sample = PhotoPatches(size=16, count=3)[2]
    assert sample["hq"].shape == (3, 16, 16) and sample["lq"].shape == (3, 8, 8)


def test_a_missing_package_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(
        ResourceError, match=r"require skimage, which is not installed\. Fix: pip install 'artschool\[demo\]'"
    ):
        PhotoPatches()


def test_a_patch_that_is_no_multiple_of_the_scale_is_refused() -> None:
    with pytest.raises(DataError, match=r"^photo_patches: size: expected a multiple of scale 2, got 15\. Fix: use 16$"):
        PhotoPatches(size=15)
