"""Digits of scikit-learn."""

from artschool.components.datasets.digits import SklearnDigits


def test_digits_are_split_and_scaled() -> None:
    train, val = SklearnDigits(), SklearnDigits(split="val")
    assert (len(train), len(val)) == (1500, 297)
    first = train[0]
    assert first["label"] == 0
    assert first["image"].shape == (1, 8, 8)
    assert first["image"][0, 0].tolist() == [0, 0, 5 / 16, 13 / 16, 9 / 16, 1 / 16, 0, 0]
    assert val[296]["label"] == 8
