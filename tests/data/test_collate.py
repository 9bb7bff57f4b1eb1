"""Ragged samples in one batch: padded, trimmed, sorted."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from artschool.data.collate import Collate
from artschool.data.loader import Loader
from artschool.data.sampler import Position
from artschool.errors import DataError


def sample(length: int, name: str = "x") -> dict[str, Any]:
    return {"wav": torch.arange(1.0, length + 1)[None], "name": name}


def test_ragged_tensors_are_padded_and_their_lengths_kept() -> None:
    batch = Collate(pad=["wav"])([sample(2), sample(3), sample(1)])
    assert batch["wav"].tolist() == [[[1, 2, 0]], [[1, 2, 3]], [[1, 0, 0]]]
    assert batch["wav_lengths"].tolist() == [2, 3, 1]


def test_arrays_are_padded_too() -> None:
    batch = Collate(pad=["text"])([{"text": torch.tensor([5, 6]).numpy()}, {"text": torch.tensor([7]).numpy()}])
    assert batch["text"].tolist() == [[5, 6], [7, 0]] and batch["text"].dtype == torch.int64


def test_a_batch_is_sorted_by_length_with_the_longest_first_and_ties_in_order() -> None:
    samples = [sample(2, "a"), sample(3, "b"), sample(2, "c"), sample(4, "d")]
    batch = Collate(pad=["wav"], sort_key="wav_lengths")(samples)
    assert batch["name"] == ["d", "b", "a", "c"]
    assert batch["wav_lengths"].tolist() == [4, 3, 2, 2]
    assert batch["wav"][2].tolist() == [[1, 2, 0, 0]]


def test_what_is_padded_already_is_trimmed_to_the_longest() -> None:
    def fixed(length: int) -> dict[str, Any]:
        return {"mel": torch.ones(2, 9), "mel_lengths": length, "other": torch.ones(9)}

    batch = Collate(trim=True)([fixed(3), fixed(5)])
    assert batch["mel"].shape == (2, 2, 5) and batch["mel"].is_contiguous()
    assert batch["other"].shape == (2, 9)
    assert batch["mel_lengths"].tolist() == [3, 5]


class Sized:
    """Samples with a tensor of 4 MB and an empty one."""

    def __len__(self) -> int:
        return 2

    def __getitem__(self, index: int) -> dict[str, Any]:
        return {"x": torch.full((1024, 1024), float(index)), "none": torch.empty(0), "label": np.int64(index)}


def test_large_and_empty_tensors_arrive_from_a_worker() -> None:
    batches = Loader(Sized(), "data.train", 0, workers=1).load([[Position(0, 1), Position(0, 0)]], torch.device("cpu"))
    (batch,) = batches
    assert batch["x"].mean((1, 2)).tolist() == [1, 0]
    assert batch["none"].shape == (2, 0) and batch["label"].tolist() == [1, 0]


@pytest.mark.parametrize(
    ("collate", "text"),
    [
        (Collate(pad=["vaw"]), "`pad`: 'vaw' is not a tensor with at least one dimension. Available keys: wav, name"),
        (Collate(pad=["name"]), "`pad`: 'name' is not a tensor with at least one dimension. Available keys: wav, name"),
        (Collate(sort_key="size"), "`sort_key`: no key 'size' in the samples. Available keys: wav, name"),
        (Collate(sort_key="name"), "`sort_key`: 'name' is not a number"),
        (Collate(sort_key="wav"), "`sort_key`: 'wav' is not a number"),
        (
            Collate(),
            "'wav': cannot stack tensors of different shapes: (1, 2), (1, 3). Fix: crop them or list the key in `pad`",
        ),
    ],
)
def test_what_cannot_be_done_is_told(collate: Collate, text: str) -> None:
    with pytest.raises(DataError) as error:
        collate([sample(2), sample(3)])
    assert str(error.value) == text
