"""Digits, and beside each one of a few: a teacher sees all of them, its students the few."""

from __future__ import annotations

from typing import TypedDict

from torch import Tensor

from artschool import datasets
from artschool.components.datasets.digits import SklearnDigits


class Lesson(TypedDict):
    """`image` and `lesson` (1, 8, 8) in 0..1, `label` and `lesson_label` in 0..9."""

    image: Tensor
    label: int
    lesson: Tensor
    lesson_label: int


@datasets.register
class FewLessons:
    """scikit-learn's digits; the lesson of digit i is digit i modulo `lessons`."""

    def __init__(self, *, lessons: int = 60) -> None:
        self._digits = SklearnDigits()
        self._lessons = lessons

    def __len__(self) -> int:
        return len(self._digits)

    def __getitem__(self, index: int) -> Lesson:
        lesson = self._digits[index % self._lessons]
        return {**self._digits[index], "lesson": lesson["image"], "lesson_label": lesson["label"]}
