"""Features at points that belong together."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor, tensor

from artschool import ranks
from artschool.components.metrics.point_pairs import Kind, PointPairContrast

CORNERS = tensor([[[[0.0, 1.0], [2.0, 5.0]]]])
LEFT_UPPER, RIGHT_UPPER, RIGHT_LOWER = [0.25, 0.25], [0.75, 0.25], [0.75, 0.75]


def measure(kind: Kind, first: list[list[float]], second: list[list[float]], similar: list[int]) -> float:
    metric = PointPairContrast(kind=kind)
    features: Tensor = CORNERS.expand(len(first), -1, -1, -1)
    metric.update(features, features, tensor(first), tensor(second), tensor(similar))
    return metric.compute()


def test_distances_are_those_at_the_points() -> None:
    first, second = [LEFT_UPPER, LEFT_UPPER, RIGHT_UPPER], [RIGHT_UPPER, RIGHT_LOWER, RIGHT_LOWER]
    assert measure("similar", first, second, [1, 0, 0]) == pytest.approx(1)
    assert measure("dissimilar", first, second, [1, 0, 0]) == pytest.approx((5 + 4) / 2)
    assert measure("ratio", first, second, [1, 0, 0]) == pytest.approx(4.5)


def test_points_between_pixels_are_interpolated() -> None:
    assert measure("similar", [[0.5, 0.25]], [LEFT_UPPER], [1]) == pytest.approx(0.5)


def test_a_kind_without_pairs_is_no_number() -> None:
    assert math.isnan(measure("dissimilar", [LEFT_UPPER], [LEFT_UPPER], [1]))


def test_pairs_of_all_batches_and_processes_count_alike(monkeypatch: pytest.MonkeyPatch) -> None:
    metric = PointPairContrast(kind="similar")
    features = torch.zeros(3, 1, 1, 1)
    metric.update(features, features + 1, torch.rand(3, 2), torch.rand(3, 2), torch.ones(3))
    metric.update(features[:1], features[:1] + 5, torch.rand(1, 2), torch.rand(1, 2), torch.ones(1))
    assert metric.compute() == pytest.approx(8 / 4)
    other = ({"similar": 12.0, "dissimilar": 0.0}, {"similar": 1, "dissimilar": 0})
    monkeypatch.setattr(ranks, "gather", lambda value: [value, other])
    assert metric.compute() == pytest.approx(20 / 5)
    metric.reset()
    monkeypatch.undo()
    assert math.isnan(metric.compute())
