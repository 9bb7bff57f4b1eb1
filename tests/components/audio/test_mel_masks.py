"""SpecAugment."""

import torch

from artschool.components.audio.masks import mel_mask


def test_a_stripe_across_time_spans_all_frames_is_narrow_and_differs_between_samples() -> None:
    torch.manual_seed(0)
    hidden = mel_mask(torch.ones(200, 10, 4), frequency_size=4, time_count=0) == 0
    assert torch.equal(hidden[:, :, :1].expand_as(hidden), hidden)
    bands = hidden[:, :, 0]
    assert set(bands.sum(1).tolist()) == {0, 1, 2, 3}
    assert bands.any(0).all()  # every band is hidden in some sample
    edges = bands.int().diff(dim=1).abs().sum(1)
    assert edges.max() == 2  # one stripe each
    assert len({tuple(row) for row in bands.tolist()}) > 20


def test_stripes_across_bands_span_all_bands_and_there_are_as_many_as_asked_for() -> None:
    torch.manual_seed(0)
    hidden = mel_mask(torch.zeros(300, 3, 40), frequency_count=0, time_size=5, time_count=3, value=-9.0) == -9
    assert torch.equal(hidden[:, :1].expand_as(hidden), hidden)
    counts = hidden[:, 0].sum(1)
    assert counts.max() == 12 and counts.min() < 3
    assert hidden[:, 0].int().diff(dim=1).eq(1).sum(1).max() == 3


def test_more_than_there_is_may_be_hidden() -> None:
    torch.manual_seed(0)
    hidden = mel_mask(torch.ones(100, 2, 3), frequency_size=27, time_size=50) == 0
    assert set(hidden[:, :, 0].sum(1).tolist()) == {0, 1, 2}
