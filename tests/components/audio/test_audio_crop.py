"""Stretches of audio."""

import pytest
import torch
from torch import tensor

from artschool.components.audio.crop import audio_clip, audio_unshuffle, random_audio_crop
from artschool.errors import ConfigError


def test_all_samples_have_the_same_stretch_within_the_shortest() -> None:
    torch.manual_seed(0)
    audio = torch.arange(20).expand(3, 1, 20)
    starts = set()
    for _ in range(100):
        crop, start = random_audio_crop(audio, tensor([20, 9, 15]), crop_size=6)
        assert torch.equal(crop, (start + torch.arange(6)).expand(3, 1, 6))
        starts.add(int(start))
    assert starts == {0, 1, 2, 3}


def test_without_lengths_it_may_end_where_the_batch_does() -> None:
    torch.manual_seed(0)
    starts = {int(random_audio_crop(torch.zeros(1, 10), crop_size=8)[1]) for _ in range(50)}
    assert starts == {0, 1, 2}


def test_a_sample_shorter_than_the_stretch_keeps_its_padding_and_a_batch_shorter_stays_whole() -> None:
    audio = torch.arange(10.0)[None]
    crop, start = random_audio_crop(audio, tensor([4]), crop_size=6)
    assert (crop.tolist(), int(start)) == ([[0, 1, 2, 3, 4, 5]], 0)
    crop, start = random_audio_crop(audio, crop_size=16)
    assert torch.equal(crop, audio) and int(start) == 0


def test_a_range_of_sizes_has_its_ends_in_it() -> None:
    torch.manual_seed(0)
    sizes = {random_audio_crop(torch.zeros(1, 10), crop_size=[3, 5])[0].shape[-1] for _ in range(50)}
    assert sizes == {3, 4, 5}
    with pytest.raises(ConfigError, match=r"crop_size: expected a number or \[min, max\], got \[5, 3\]$"):
        random_audio_crop(torch.zeros(1, 10), crop_size=[5, 3])


def test_codes_are_clipped_by_the_share_of_the_audio() -> None:
    audio, codes = torch.arange(10).view(1, 1, 10), tensor([[1, 2, 3, 4, 5]])
    clipped, kept = audio_clip(audio, codes, clip_size=7)
    assert (clipped.tolist(), kept.tolist()) == ([[[0, 1, 2, 3, 4, 5, 6]]], [[1, 2, 3]])  # 5 * 7 / 10 = 3.5
    clipped, kept = audio_clip(audio, codes, clip_size=70)
    assert torch.equal(clipped, audio) and torch.equal(kept, codes)


def test_unshuffling_takes_turns_and_agrees_with_that_of_images() -> None:
    x = torch.arange(12).view(1, 2, 6)
    found = audio_unshuffle(x, compression=3)
    assert found.tolist() == [[[0, 3], [1, 4], [2, 5], [6, 9], [7, 10], [8, 11]]]
    with pytest.raises(ConfigError, match=r"a multiple of compression 4, got 6\. Fix: pad the audio with .* `pad`$"):
        audio_unshuffle(x, compression=4)
