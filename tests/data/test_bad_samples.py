"""Samples that cannot be read: replaced by the same others however they are loaded, told once, bounded."""

from __future__ import annotations

import errno
import os
import re
import signal
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from artschool.data.bad_samples import BadSamples
from artschool.data.loader import Loader
from artschool.data.sampler import Batches, Position, RankSampler
from artschool.data.seeded_dataset import MAX_TRIES
from artschool.errors import ArtschoolError, DataError, ResourceError

CPU = torch.device("cpu")


class Numbers:
    """Sample i is i with a random number; some cannot be read."""

    def __init__(self, length: int, bad: Sequence[int], error: type[Exception] = DataError) -> None:
        self._length, self._bad, self._error = length, bad, error

    def __len__(self) -> int:
        return self._length

    def __getitem__(self, index: int) -> dict[str, Any]:
        if index in self._bad:
            raise self._error(f"{index}.png: cut short")
        return {"x": torch.tensor([float(index), float(torch.rand(()))])}


def loader(dataset: Any, max_bad: int, workers: int = 0, **options: Any) -> tuple[Loader, list[str]]:
    notes: list[str] = []
    bad = BadSamples("data.train", max_bad, note=notes.append)
    return Loader(dataset, "data.train", 7, workers, bad=bad, **options), notes


def loaded(of: Loader, epochs: int = 2, length: int = 10) -> list[Tensor]:
    batches = Batches("data.train", length, 5, seed=7, shuffle=True, drop_last=True)
    return [batch["x"] for batch in of.load(RankSampler(batches, 0, 2 * epochs), CPU)]


@pytest.mark.parametrize("workers", [1, 2])
def test_the_same_samples_take_the_place_of_bad_ones_with_any_number_of_workers(workers: int) -> None:
    dataset = Numbers(10, bad=[3, 8])
    first, notes = loader(dataset, max_bad=2)
    expected = loaded(first)
    other, other_notes = loader(dataset, max_bad=2, workers=workers)
    assert torch.equal(torch.stack(loaded(other)), torch.stack(expected))
    assert other_notes == notes and len(notes) == 2
    good = {int(x) for batch in expected for x in batch[:, 0]}
    assert good == {0, 1, 2, 4, 5, 6, 7, 9}


def test_what_is_not_bad_has_the_bits_that_it_has_without_bad_samples() -> None:
    with_bad = torch.cat(loaded(loader(Numbers(10, bad=[3]), max_bad=1)[0]))
    without = torch.cat(loaded(loader(Numbers(10, bad=[]), max_bad=0)[0]))
    same = (with_bad == without).all(1)
    assert without[~same, 0].tolist() == [3.0, 3.0]


def test_each_is_told_once_and_all_at_the_end() -> None:
    of, notes = loader(Numbers(10, bad=[3]), max_bad=4)
    loaded(of, epochs=3)
    text = (
        r"^warning: data\.train: sample 3 \(epoch 0\): 3\.png: cut short; "
        r"replaced by another sample \(1 of at most 4\)$"
    )
    assert len(notes) == 1 and re.match(text, notes[0])
    of.bad.report()
    assert notes[1] == (
        "warning: data.train: 1 sample could not be read and was replaced:\n    sample 3 (epoch 0): 3.png: cut short"
    )


@pytest.mark.parametrize("workers", [0, 2])
def test_the_first_ends_the_run_unless_the_file_allows_some(workers: int) -> None:
    of, notes = loader(Numbers(10, bad=[3]), max_bad=0, workers=workers)
    with pytest.raises(DataError) as error:
        loaded(of)
    assert str(error.value) == (
        "data.train: sample 3 (epoch 0): 3.png: cut short\n"
        "    Fix: repair the sample, or replace up to 10 bad samples with `data.train.max_bad: 10`"
    )
    of.bad.report()  # Nothing was replaced.
    assert (notes, error.value.exit_code) == ([], 3)


@pytest.mark.parametrize("workers", [0, 2])
def test_one_more_than_allowed_ends_the_run_with_a_list(workers: int) -> None:
    of, notes = loader(Numbers(10, bad=[2, 3, 5]), max_bad=2, workers=workers)
    with pytest.raises(DataError) as error:
        loaded(of)
    lines = str(error.value).splitlines()
    assert lines[0] == "data.train: 3 samples cannot be read, more than `max_bad: 2`:"
    assert sorted(line.strip()[:8] for line in lines[1:]) == ["sample 2", "sample 3", "sample 5"]
    assert len(notes) == 2


@pytest.mark.parametrize("max_bad", [0, 3, 100])
def test_a_data_set_of_bad_samples_ends_at_once(max_bad: int) -> None:
    with pytest.raises(DataError):
        loaded(loader(Numbers(10, bad=range(10)), max_bad)[0])


def test_what_takes_too_many_tries_is_given_up() -> None:
    of, _ = loader(Numbers(10, bad=range(10)), 100)
    with pytest.raises(DataError, match=rf"no replacement for sample \d could be read in {MAX_TRIES} tries$"):
        list(of.load([[Position(0, 4)]], CPU))


class Raising:
    """Raises what it is given."""

    def __init__(self, error: Exception) -> None:
        self._error = error

    def __len__(self) -> int:
        return 4

    def __getitem__(self, index: int) -> dict[str, Any]:
        raise self._error


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (
            OSError(errno.EMFILE, "Too many open files"),
            "data.train: too many open files: [Errno 24] Too many open files\n"
            "    Fix: raise the limit of open files (`ulimit -n`) or set fewer `workers`",
        ),
        (MemoryError(), "data.train: a sample ran out of memory. Fix: set fewer `workers` or a smaller `batch_size`"),
        (
            RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes."),
            "data.train: a sample ran out of memory. Fix: set fewer `workers` or a smaller `batch_size`",
        ),
        (ResourceError("soundfile is not installed"), "soundfile is not installed"),
    ],
)
def test_what_is_no_fault_of_a_sample_ends_the_run(error: Exception, text: str) -> None:
    with pytest.raises(ResourceError) as caught:
        list(loader(Raising(error), 100)[0].load([[Position(0, 1)]], CPU))
    assert str(caught.value) == text


class Deadly:
    """Sample 5 ends its process, or never comes."""

    def __init__(self, how: str) -> None:
        self._how = how

    def __len__(self) -> int:
        return 8

    def __getitem__(self, index: int) -> dict[str, Any]:
        if index == 5 and self._how == "dies":
            os.kill(os.getpid(), signal.SIGKILL)
        if index == 5:
            time.sleep(600)
        return {"x": torch.zeros(1)}


@pytest.mark.parametrize(
    ("how", "problem", "rest", "code"),
    [("dies", r"died", r": .*(killed|exited)", 5), ("sleeps", r"returned no batch within 1 seconds", r"\. Fix: ", 3)],
)
def test_a_worker_that_is_gone_or_stuck_is_told_with_its_samples(how: str, problem: str, rest: str, code: int) -> None:
    of, _ = loader(Deadly(how), 0, workers=2, timeout=1)
    start = time.perf_counter()
    loading = r" \(it was loading samples (0, 1, )?4, 5[^)]*\)"
    with pytest.raises(ArtschoolError, match=rf"^data\.train: worker 0 {problem}{loading}{rest}") as error:
        list(of.load([[Position(0, i), Position(0, i + 1)] for i in range(0, 8, 2)], CPU))
    assert error.value.exit_code == code
    assert time.perf_counter() - start < 6
    del error
    assert [line for line in Path("/proc/self/task").glob("*/children") if line.read_text().strip()] == []


def test_there_is_no_first_batch_of_nothing() -> None:
    with pytest.raises(DataError, match=r"^data\.train: the data set is empty \(its length is 0\)$"):
        loader(Numbers(0, bad=[]), max_bad=0)[0].first(4)
