"""What is drawn of a key."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import tensor

from artschool.config.report_sections import PicturesSection
from artschool.engine.pictures import as_images


def section(**options: Any) -> PicturesSection:
    return PicturesSection(every=1, keys=["x"], **options)


def test_a_range_becomes_black_and_white() -> None:
    values = tensor([-1.0, 0.0, 1.0, 3.0]).view(1, 1, 2, 2)
    assert as_images(values, section(range=(-1.0, 1.0))).flatten().tolist() == [0.0, 0.5, 1.0, 2.0]
    assert as_images(values, section(range="auto")).flatten().tolist() == [0.0, 0.25, 0.5, 1.0]
    assert torch.equal(as_images(values, section()), values)
    assert as_images(torch.zeros(1, 2, 2), section(range="auto")).tolist() == [[[0.0, 0.0], [0.0, 0.0]]]


def test_keys_have_ranges_of_their_own() -> None:
    values = tensor([-1.0, 3.0]).view(1, 1, 1, 2)
    ranges = section(range={"x": (-1.0, 1.0), "z": "auto"})
    assert as_images(values, ranges, "x").flatten().tolist() == [0.0, 2.0]
    assert as_images(values, ranges, "z").flatten().tolist() == [0.0, 1.0]
    assert torch.equal(as_images(values, ranges, "other"), values)


def test_imagenet_s_normalization_is_undone() -> None:
    colour = tensor([0.2, 0.5, 0.9]).view(3, 1, 1)
    mean, deviation = tensor([0.485, 0.456, 0.406]).view(3, 1, 1), tensor([0.229, 0.224, 0.225]).view(3, 1, 1)
    normalized = ((colour - mean) / deviation)[None]
    assert as_images(normalized, section(range="imagenet")).flatten().tolist() == pytest.approx([0.2, 0.5, 0.9])


def test_chosen_frames_of_a_sequence_follow_each_other() -> None:
    values = torch.arange(6.0).view(2, 3, 1, 1, 1)
    assert as_images(values, section()).flatten().tolist() == [0.0, 3.0]
    assert as_images(values, section(frames=[0, 2, 9])).flatten().tolist() == [0.0, 2.0, 3.0, 5.0]
