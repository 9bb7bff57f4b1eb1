"""Pairs belong together by name, not by position."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import torch
from PIL import Image

from artschool.components.datasets.image_pairs import ImagePairs
from artschool.errors import DataError

COLORS = {"cat": (250, 10, 10), "cat.large": (10, 250, 10), "dog": (10, 10, 250), "dog.night": (250, 250, 10)}


def save(file: Path, color: tuple[int, int, int] = (0, 0, 0), side: int = 4) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (side, side), color).save(file)


@pytest.mark.parametrize(("lq", "hq"), [(".png", ".bmp"), (".PNG", ".jpg"), (".webp", ".png")])
def test_names_that_sort_differently_belong_together(tmp_path: Path, lq: str, hq: str) -> None:
    for name, color in COLORS.items():
        save(tmp_path / "lq" / f"{name}{lq}", color)
        save(tmp_path / "hq" / f"{name}{hq}", color, side=8)
    pairs = ImagePairs(lq=tmp_path / "lq", hq=tmp_path / "hq", scale=2)
    assert {pairs[index]["name"] for index in range(4)} == {f"{name}{hq}" for name in COLORS}
    for index in range(4):
        small, large = pairs[index]["lq"].mean((1, 2)), pairs[index]["hq"].mean((1, 2))
        torch.testing.assert_close(small, large, atol=0.02, rtol=0)


def test_folders_inside_count_and_accents_have_two_forms(tmp_path: Path) -> None:
    for index, name in enumerate(("a/1", "b/1", "caf\u00e9")):
        save(tmp_path / "lq" / f"{name}.png", (index * 100, 0, 0))
    for index, name in enumerate(("a/1", "b/1", "cafe\u0301")):
        save(tmp_path / "hq" / f"{name}.bmp", (index * 100, 0, 0))
    pairs = ImagePairs(lq=tmp_path / "lq", hq=tmp_path / "hq")
    assert all(torch.equal(pairs[index]["lq"], pairs[index]["hq"]) for index in range(3))


def test_suffixes_are_named_and_then_used(tmp_path: Path) -> None:
    for number, red in (("0801", 50), ("0811", 100)):
        save(tmp_path / "lq" / f"{number}x2.png", (red, 0, 0))
        save(tmp_path / "hq" / f"{number}.png", (red, 0, 0), side=8)
    said = (
        "image_pairs: 4 images have no counterpart (expected the same names in both folders, got only in "
        f"{tmp_path}/lq: '0801x2', '0811x2'; only in {tmp_path}/hq: '0801', '0811'). Fix: write `suffixes: [x2, \"\"]`"
    )
    with pytest.raises(DataError, match=f"^{re.escape(said)}$"):
        ImagePairs(lq=tmp_path / "lq", hq=tmp_path / "hq", scale=2)
    pairs = ImagePairs(lq=tmp_path / "lq", hq=tmp_path / "hq", scale=2, suffixes=("x2", ""))
    assert [round(float(pairs[index]["lq"][0, 0, 0]) * 255) for index in range(2)] == [50, 100]
    for file in (tmp_path / "hq").iterdir():
        file.rename(file.with_stem(f"{file.stem}_HR"))
    with pytest.raises(DataError, match=r"Fix: write `suffixes: \[x2, _HR\]`$"):
        ImagePairs(lq=tmp_path / "lq", hq=tmp_path / "hq", scale=2)


def test_what_has_no_partner_is_counted_and_named(tmp_path: Path) -> None:
    for number in range(9):
        save(tmp_path / "lq" / f"{number}.png")
    save(tmp_path / "hq" / "0.png")
    save(tmp_path / "hq" / "x.png")
    said = (
        f"9 images have no counterpart (expected the same names in both folders, got only in {tmp_path}/lq: '1', '2', "
        f"'3', '4', and 4 more; only in {tmp_path}/hq: 'x'). Fix: add or remove the images"
    )
    with pytest.raises(DataError, match=f"^image_pairs: {re.escape(said)}$"):
        ImagePairs(lq=tmp_path / "lq", hq=tmp_path / "hq")


def test_names_that_differ_in_case_are_told_apart(tmp_path: Path) -> None:
    for side, names in (("lq", ("Cat", "Dog")), ("hq", ("cat", "dog"))):
        for name in names:
            save(tmp_path / side / f"{name}.png")
    with pytest.raises(DataError, match=r"^image_pairs: 4 images .* Fix: rename them; upper and lower case differ$"):
        ImagePairs(lq=tmp_path / "lq", hq=tmp_path / "hq")


def test_two_images_of_one_name_are_refused_even_if_both_folders_have_both(tmp_path: Path) -> None:
    for side in ("lq", "hq"):
        for ending in ("png", "jpg"):
            save(tmp_path / side / f"cat.{ending}")
    said = (
        r"/lq: duplicate image 'cat' \(expected one extension, got several: cat\.jpg, cat\.png\)\. Fix: remove all but "
    )
    with pytest.raises(DataError, match=said):
        ImagePairs(lq=tmp_path / "lq", hq=tmp_path / "hq")
