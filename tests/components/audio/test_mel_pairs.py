"""Joining pairs of samples."""

import torch
from torch import tensor

from artschool.components.audio.pairs import combine_mel


def test_the_second_begins_where_the_first_ends() -> None:
    mel = tensor([[[1, 2, 9, 9]], [[3, 4, 5, 9]]])
    text, lengths = tensor([[1, 2, 3], [4, 9, 9]]), tensor([2, 3])
    found, found_lengths, texts, text_lengths = combine_mel(mel, lengths, text, tensor([3, 1]))
    assert (found.tolist(), found_lengths.tolist()) == ([[[1, 2, 3, 4, 5, 0, 0, 0]]], [5])
    assert (texts.tolist(), text_lengths.tolist()) == ([[1, 2, 3, 4, 0, 0]], [4])


def test_a_separator_stands_between_two_texts_and_the_last_of_three_stays_alone() -> None:
    mel, lengths = torch.ones(3, 1, 2), tensor([2, 2, 1])
    text, text_lengths = tensor([[1, 2], [3, 9], [4, 5]]), tensor([2, 1, 2])
    found, found_lengths, texts, all_lengths = combine_mel(mel, lengths, text, text_lengths, separator=7)
    assert (found.tolist(), found_lengths.tolist()) == ([[[1, 1, 1, 1]], [[1, 0, 0, 0]]], [4, 1])
    assert (texts.tolist(), all_lengths.tolist()) == ([[1, 2, 7, 3, 0, 0], [4, 5, 0, 0, 0, 0]], [4, 2])
