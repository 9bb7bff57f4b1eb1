"""A loss over, or at one place of, a dimension."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, tensor

from artschool.components.losses.for_each import for_each, for_element
from artschool.components.losses.pixel import l1
from artschool.errors import ConfigError

FAKE = tensor([[[1.0, 1.0], [2.0, 4.0], [0.0, 9.0]]])  # (1, 3, 2)
REAL = torch.zeros(1, 3, 2)


def test_the_losses_of_the_slices_are_summed_each_by_its_weight() -> None:
    assert for_each(l1, FAKE, REAL).item() == 1 + 3 + 4.5
    assert for_each(l1, FAKE, REAL, element_weights=[1.0, 0.5, 0.0]).item() == 1 + 1.5
    assert for_each(l1, FAKE, REAL, dim=2).item() == pytest.approx(1 + 14 / 3)


def test_slices_come_without_their_dimension() -> None:
    shapes = []

    def record(fake: Tensor, real: Tensor) -> Tensor:
        shapes.append((tuple(fake.shape), tuple(real.shape)))
        return fake.sum()

    for_each(record, FAKE, REAL)
    for_element(record, FAKE, REAL, index=2, dim=1)
    assert shapes == [((1, 2), (1, 2))] * 4


def test_one_place_is_taken_from_either_end() -> None:
    assert for_element(l1, FAKE, REAL, index=1).item() == 3.0
    assert for_element(l1, FAKE, REAL, index=-1).item() == 4.5


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (
            lambda: for_each(l1, FAKE, REAL[:, :2]),
            r"along dimension 1 and of weights must be equal, got 3 of fake, 2 of real and 2 weights$",
        ),
        (
            lambda: for_each(l1, FAKE, REAL, element_weights=[1.0]),
            r"along dimension 1 and of weights must be equal, got 3 of fake, 3 of real and 1 weights$",
        ),
        (lambda: for_element(l1, FAKE, REAL, index=3), "index 3 is out of range for dimension 1 of fake, size 3$"),
    ],
)
def test_what_does_not_fit_is_refused(call: Callable[[], Tensor], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        call()
