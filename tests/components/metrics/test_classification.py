"""Accuracy."""

import pytest
import torch
from torch import tensor

from artschool.components.metrics.classification import accuracy
from artschool.engine.metrics import MeanOverSamples
from artschool.errors import ConfigError


def test_accuracy_tells_which_samples_are_right() -> None:
    logits = tensor([[2.0, 1.0, 0.0], [0.0, 1.0, 2.0], [0.0, 3.0, 1.0]])
    assert accuracy(logits, tensor([0, 1, 1])).tolist() == [1.0, 0.0, 1.0]


def test_accuracy_of_maps_is_the_share_of_places() -> None:
    logits = torch.zeros(1, 2, 4)
    logits[0, 1, :3] = 1.0
    assert accuracy(logits, tensor([[1, 1, 0, 0]])).tolist() == [0.75]


def test_places_without_a_label_are_left_out_as_by_cross_entropy() -> None:
    logits = torch.zeros(3, 2, 4)
    logits[:, 1, :3] = 1.0
    labels = tensor([[1, 0, -100, -100], [-100, -100, -100, -100], [1, 1, 1, 1]])
    assert accuracy(logits, labels).tolist() == [0.5, 0.75]
    assert accuracy(torch.eye(3), tensor([0, -100, 1])).tolist() == [1.0, 0.0]


def test_the_mean_is_over_the_samples_with_a_label() -> None:
    metric = MeanOverSamples(accuracy)
    metric.update(logits=torch.eye(3), labels=tensor([0, -100, -100]))
    metric.update(logits=torch.eye(3), labels=tensor([0, 0, 2]))
    assert metric.compute() == 0.75


def test_labels_that_would_broadcast_are_refused() -> None:
    with pytest.raises(
        ConfigError, match=r"expected labels of shape \(3,\) for logits of shape \(3, 2\), got \(3, 1\)$"
    ):
        accuracy(torch.zeros(3, 2), torch.zeros(3, 1))
