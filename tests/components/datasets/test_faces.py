"""Faces of scikit-image."""

import sys

import pytest

from artschool.components.datasets.faces import SkimageFaces
from artschool.errors import ResourceError


def test_faces_are_split_and_in_range() -> None:
    train, val = SkimageFaces(), SkimageFaces(split="val")
    assert (len(train), len(val)) == (80, 20)
    assert train[0]["image"].shape == (1, 25, 25)
    assert 0 <= train[0]["image"].min() < 0.2 and 0.8 < train[0]["image"].max() <= 1
    assert all(val[index]["label"] == 1 for index in range(20))
    assert not any((train[a]["image"] == val[b]["image"]).all() for a in range(80) for b in range(20))


def test_negatives_come_after_the_faces() -> None:
    labels = [SkimageFaces(negatives=True, split="val")[index]["label"] for index in range(40)]
    assert labels == [1] * 20 + [0] * 20


def test_the_missing_package_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "skimage", None)
    monkeypatch.delitem(sys.modules, "skimage.data", raising=False)
    said = r"^skimage_faces requires scikit-image, which is not installed\. Fix: pip install 'artschool\[demo\]'$"
    with pytest.raises(ResourceError, match=said):
        SkimageFaces()
