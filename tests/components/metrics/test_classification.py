"""Accuracy."""

import pytest
import torch
from torch import tensor

from artschool.components.metrics.classification import accuracy
from artschool.errors import ConfigError


def test_accuracy_tells_which_samples_are_right() -> None:
    logits = tensor([[2.0, 1.0, 0.0], [0.0, 1.0, 2.0], [0.0, 3.0, 1.0]])
    assert accuracy(logits, tensor([0, 1, 1])).tolist() == [1.0, 0.0, 1.0]


def test_accuracy_of_maps_is_the_share_of_places() -> None:
    logits = torch.zeros(1, 2, 4)
    logits[0, 1, :3] = 1.0
    assert accuracy(logits, tensor([[1, 1, 0, 0]])).tolist() == [0.75]


def test_labels_that_would_broadcast_are_refused() -> None:
    with pytest.raises(
        ConfigError, match=r"expected labels of shape \(3,\) for logits of shape \(3, 2\), got \(3, 1\)$"
    ):
        accuracy(torch.zeros(3, 2), torch.zeros(3, 1))
