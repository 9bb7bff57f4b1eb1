"""Samples of the wrong kind: refused with what was expected, or replaced like samples that cannot be read."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from artschool.data.bad_samples import BadSamples
from artschool.data.collate import Collate
from artschool.data.loader import Loader, length_of
from artschool.data.sampler import Position
from artschool.data.seeded_dataset import SampleKeys
from artschool.errors import DataError, ResourceError

CPU = torch.device("cpu")
BAD = 5


class OddError(Exception):
    """Cannot be made of its text, as unpickling does."""

    def __init__(self, one: int, other: int) -> None:
        super().__init__(one)
        self.code: Callable[[], int] = lambda: other


class UntoldError(Exception):
    """Has no text."""

    def __str__(self) -> str:
        raise RuntimeError


class Unsendable:
    """Can be sent, but not received."""

    def __reduce__(self) -> tuple[type[OddError], tuple[int]]:
        return OddError, (1,)


class Late(dict[str, Any]):
    """A mapping that reads its values when they are asked for."""

    def items(self) -> Any:
        raise OSError("the file is closed")


def raising(error: BaseException) -> Callable[[], Any]:
    def sample() -> Any:
        raise error

    return sample


class Data:
    """Sample 5 is what a function returns; the others have `x`, three numbers, and `name`."""

    def __init__(self, bad: Callable[[], Any]) -> None:
        self._bad = bad

    def __len__(self) -> int:
        return 8

    def __getitem__(self, index: int) -> Any:
        return self._bad() if index == BAD else {"x": torch.rand(3), "name": f"{index}.png"}


def having(x: Any) -> Callable[[], Any]:
    return lambda: {"x": x, "name": "5.png"}


def loader(dataset: Any, max_bad: int = 0, workers: int = 0, **options: Any) -> tuple[Loader, list[str]]:
    notes: list[str] = []
    bad = BadSamples("data.train", max_bad, "toy.yml:5:10", note=notes.append)
    return Loader(dataset, "data.train", 7, workers, bad=bad, **options), notes


def loaded(of: Loader) -> list[dict[str, Any]]:
    return list(of.load([[Position(0, first), Position(0, first + 1)] for first in (6, 4, 0)], CPU))


AT_5 = "sample 5 (epoch 0)"
NAMED = "sample 5 (epoch 0, name '5.png')"
RETURN = "\n    Fix: return tensors, arrays, numbers, text, or lists of them"
A_TENSOR = "'x': expected a float32 tensor of 1 dimension, as in sample 0, got"
A_MAPPING = "expected a mapping with the keys name, x, as in sample 0, got"
FROM_GETITEM = "\n    Fix: return a dict from `__getitem__`"
SAME_KEYS = "\n    Fix: return the same keys for every sample; `requires` of a step allows keys that some batches lack"
CASES: dict[str, tuple[Callable[[], Any], str]] = {
    "None": (lambda: None, f"{AT_5}: {A_MAPPING} None{FROM_GETITEM}"),
    "list": (lambda: [1], f"{AT_5}: {A_MAPPING} a list of 1 value{FROM_GETITEM}"),
    "tuple": (lambda: (1, 2), f"{AT_5}: {A_MAPPING} a tuple of 2 values{FROM_GETITEM}"),
    "tensor": (lambda: torch.zeros(3, 4), f"{AT_5}: {A_MAPPING} a tensor of shape (3, 4){FROM_GETITEM}"),
    "object": (lambda: OddError(1, 2), f"{AT_5}: {A_MAPPING} an object of class OddError{FROM_GETITEM}"),
    "empty": (dict, f"{AT_5}: expected a mapping of keys to values, got one without keys"),
    "key": (lambda: {1: 2}, f"{AT_5}: expected keys that are text, got 1"),
    "more": (
        lambda: {"x": torch.zeros(3), "name": "5.png", "y": 1},
        f"{NAMED}: expected the keys name, x, as in sample 0, got name, x, y{SAME_KEYS}",
    ),
    "fewer": (lambda: {"x": torch.zeros(3)}, f"{AT_5}: expected the keys name, x, as in sample 0, got x{SAME_KEYS}"),
    "no value": (
        having(None),
        f"{NAMED}: 'x': expected a value, got None\n    Fix: return a value, or no sample with this key",
    ),
    "number": (having(1.0), f"{NAMED}: {A_TENSOR} a number"),
    "text": (having("1"), f"{NAMED}: {A_TENSOR} text"),
    "dtype": (having(torch.zeros(3).double()), f"{NAMED}: {A_TENSOR} a float64 tensor of 1 dimension"),
    "dimensions": (having(torch.zeros(3, 1)), f"{NAMED}: {A_TENSOR} a float32 tensor of 2 dimensions"),
    "array": (having(np.zeros(3, np.int16)), f"{NAMED}: {A_TENSOR} an int16 array of 1 dimension"),
    "objects": (
        having(np.array([1, None])),
        f"{NAMED}: 'x': expected an array of numbers, got dtype object\n"
        "    Fix: convert it with `.astype`, or with `.tolist()` to a list",
    ),
    "gradient": (
        having(torch.zeros(3, requires_grad=True) * 2),
        f"{NAMED}: 'x': expected a tensor without gradients\n    Fix: return `value.detach()`",
    ),
    "device": (
        having(torch.zeros(3, device="meta")),
        f"{NAMED}: 'x': expected a tensor on the CPU, got one on meta\n"
        "    Fix: return `value.cpu()`; batches are moved to the device of the run",
    ),
    "sparse": (
        having(torch.zeros(3).to_sparse()),
        f"{NAMED}: 'x': expected a dense tensor, got the layout sparse_coo\n    Fix: return `value.to_dense()`",
    ),
    "lock": (
        having(threading.Lock()),
        f"{NAMED}: 'x': an object of class lock cannot be sent from a worker: cannot pickle '_thread.lock' object"
        f"{RETURN}",
    ),
    "received": (
        having([Unsendable()]),
        f"{NAMED}: 'x': an object of class Unsendable cannot be sent from a worker: OddError.__init__() missing 1 "
        f"required positional argument: 'other'{RETURN}",
    ),
    "late": (lambda: Late(x=1), f"{AT_5} raised OSError: the file is closed\n    at "),
    "error": (raising(OddError(1, 2)), f"{AT_5} raised OddError: 1\n    at "),
    "untold": (raising(UntoldError()), f"{AT_5} raised UntoldError: (its text cannot be made)\n    at "),
    "exit": (raising(SystemExit(0)), f"{AT_5} raised SystemExit: 0\n    at "),
    "generator": (raising(GeneratorExit()), f"{AT_5} raised GeneratorExit: \n    at "),
    "iteration": (raising(StopIteration()), f"{AT_5} raised StopIteration: \n    at "),
}


@pytest.mark.parametrize("workers", [0, 1])
@pytest.mark.parametrize("case", CASES)
def test_a_sample_of_the_wrong_kind_ends_the_run_with_what_was_expected(case: str, workers: int) -> None:
    sample, reason = CASES[case]
    with pytest.raises(DataError) as error:
        loaded(loader(Data(sample), workers=workers)[0])
    assert str(error.value).startswith(f"toy.yml:5:10: data.train: {reason}")
    start = "Or" if "Fix: " in reason else "Fix: repair the sample, or"
    assert str(error.value).endswith(f"\n    {start} replace up to 10 bad samples with `data.train.max_bad: 10`")


@pytest.mark.parametrize("case", CASES)
def test_a_sample_of_the_wrong_kind_is_replaced_like_any_bad_sample(case: str) -> None:
    sample, reason = CASES[case]
    of, notes = loader(Data(sample), max_bad=1)
    batches = loaded(of)
    first = reason.split("\n")[0]
    assert notes == [f"warning: data.train: {first}; replaced by another sample (1 of at most 1)"]
    assert [batch["name"][0] for batch in batches] == ["6.png", "4.png", "0.png"]
    assert all(name != "5.png" for batch in batches for name in batch["name"])


@pytest.mark.parametrize("workers", [1, 2])
def test_the_replacement_has_the_same_bits_with_any_number_of_workers(workers: int) -> None:
    expected = loaded(loader(Data(lambda: None), max_bad=1)[0])
    found = loaded(loader(Data(lambda: None), max_bad=1, workers=workers)[0])
    assert all(torch.equal(one["x"], other["x"]) for one, other in zip(found, expected, strict=True))


def test_the_first_sample_that_can_be_read_says_what_is_expected() -> None:
    class Later(Data):
        def __getitem__(self, index: int) -> Any:
            return super().__getitem__(BAD if index == 0 else 1)

    with pytest.raises(
        DataError, match=r"sample 0 \(epoch 0\): expected a mapping with the keys name, x, as in sample 1"
    ):
        loader(Later(lambda: None))[0].first(2)


def test_declared_keys_are_expected_of_the_first_sample_too() -> None:
    of, _ = loader(Data(lambda: None), keys=SampleKeys(["x", "y"]))
    with pytest.raises(DataError) as error:
        of.first(2)
    assert str(error.value) == (
        "toy.yml:5:10: data.train: sample 0 (epoch 0, name '0.png'): expected the keys x, y, as declared, got name, x\n"
        "    Fix: return these keys from `__getitem__`, or list those of the samples in the option `keys`\n"
        "    Or replace up to 10 bad samples with `data.train.max_bad: 10`"
    )


def test_more_keys_than_declared_are_no_fault() -> None:
    assert set(loader(Data(lambda: None), keys=SampleKeys(["x"]))[0].first(2)) == {"x", "name"}


def test_keys_that_a_step_requires_may_be_missing_in_some_batches() -> None:
    data = Data(lambda: {"x": torch.zeros(3), "name": "5.png", "y": 1})
    of, _ = loader(data, keys=SampleKeys(optional={"y", "name"}))
    batches = list(of.load([[Position(0, 1)], [Position(0, BAD)]], CPU))
    assert [sorted(batch) for batch in batches] == [["name", "x"], ["name", "x", "y"]]
    with pytest.raises(DataError, match="different keys: y missing in some of them"):
        loaded(of)


@pytest.mark.parametrize("workers", [0, 1])
def test_shapes_that_cannot_be_stacked_are_told_with_the_samples(workers: int) -> None:
    with pytest.raises(DataError) as error:
        loaded(loader(Data(having(torch.zeros(4))), max_bad=1, workers=workers)[0])
    assert str(error.value) == (
        "toy.yml:5:10: data.train: 'x': cannot stack tensors of different shapes: (3,), (4,). "
        "Fix: crop them or list the key in `pad`\n"
        "    The batch has the samples 4 name '4.png', 5 name '5.png'"
    )


class PluginError(ResourceError):
    """An error of a plugin that cannot be made of its text."""

    def __init__(self, one: int, other: int) -> None:
        super().__init__(f"{one} and {other}")


@pytest.mark.parametrize("workers", [0, 1])
def test_an_error_of_a_plugin_arrives_from_a_worker(workers: int) -> None:
    with pytest.raises(ResourceError, match=r"^data\.train: PluginError: 1 and 2$"):
        loaded(loader(Data(raising(PluginError(1, 2))), workers=workers)[0])


def test_ctrl_c_is_no_bad_sample_but_one_of_a_worker_s_own_is() -> None:
    data = Data(raising(KeyboardInterrupt()))
    with pytest.raises(KeyboardInterrupt):
        loaded(loader(data, max_bad=1)[0])
    of, notes = loader(data, max_bad=1, workers=1)
    assert len(loaded(of)) == 3
    assert "sample 5 (epoch 0) raised KeyboardInterrupt" in notes[0]


class Unlike:
    """Refuses to be sent a second time: the check of the sample passes, the queue fails."""

    def __init__(self) -> None:
        self._sent = False

    def __getstate__(self) -> dict[str, Any]:
        if self._sent:
            raise RuntimeError("once is enough")
        self._sent = True
        return {"_sent": True}


class Always:
    """Every sample can be sent once."""

    def __len__(self) -> int:
        return 8

    def __getitem__(self, index: int) -> dict[str, Any]:
        return {"x": Unlike()}


def test_a_batch_that_cannot_be_sent_ends_the_run() -> None:
    text = r"the batch of worker 0 \(samples 6, 7\) cannot be sent: RuntimeError: once is enough$"
    with pytest.raises(DataError, match=rf"^toy\.yml:5:10: data\.train: {text}"):
        loaded(loader(Always(), workers=1)[0])


HELD = """
import sys, torch
from artschool.data.loader import Loader
from artschool.data.sampler import Position

class Data:
    def __len__(self):
        return 8
    def __getitem__(self, index):
        return {"x": torch.zeros(1)}

batches = Loader(Data(), "data.train", 7, workers=2).load([[Position(0, i)] for i in range(8)], torch.device("cpu"))
next(batches)
sys.held = batches  # As a traceback holds the frame that reads them.
raise ValueError("elsewhere")
"""


def test_workers_end_with_python_even_if_a_frame_is_held(tmp_path: Path) -> None:
    done = subprocess.run([sys.executable, "-c", HELD], capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, "ValueError: elsewhere" in done.stderr) == (1, True)


def wrong_length(length: Any) -> Any:
    class Wrong(Data):
        def __len__(self) -> int:
            if isinstance(length, BaseException):
                raise length
            return length  # type: ignore[no-any-return]  # what is tested

    return Wrong(lambda: None)


@pytest.mark.parametrize(
    ("length", "problem"),
    [
        (-1, "ValueError: __len__() should return >= 0"),
        (2.5, "TypeError: 'float' object cannot be interpreted as an integer"),
        (OSError("no index file"), "OSError: no index file"),
        (SystemExit(3), "SystemExit: 3"),
    ],
)
def test_a_length_that_is_no_number_of_samples_is_told(length: Any, problem: str) -> None:
    with pytest.raises(DataError) as error:
        length_of(wrong_length(length), "data.train")
    assert str(error.value) == f"data.train: expected a number of samples from `__len__`, got {problem}"


def test_an_index_beyond_the_samples_is_a_bad_sample() -> None:
    class Short(Data):
        def __getitem__(self, index: int) -> Any:
            return [super(Short, self).__getitem__(i) for i in range(4)][index]

    with pytest.raises(DataError, match=r"sample 6 \(epoch 0\) raised IndexError: list index out of range\n    at "):
        loaded(loader(Short(lambda: None))[0])


class Stream(torch.utils.data.IterableDataset[Any]):
    """Has no samples by index."""

    def __iter__(self) -> Iterator[Any]:
        yield {"x": 1}

    def __len__(self) -> int:
        return 1


def test_a_data_set_that_is_only_iterated_over_is_refused_with_what_to_write() -> None:
    with pytest.raises(DataError) as error:
        length_of(Stream(), "data.train")
    assert str(error.value) == (
        "data.train: Stream is not a data set (expected methods __len__ and __getitem__). Fix: keep its items or their "
        "places in a list, and return the item of an index from `__getitem__`"
    )


def test_arrays_that_torch_does_not_take_are_copied() -> None:
    flipped, other_order = np.arange(3.0)[::-1], np.arange(3, dtype=">i4")
    batch = Collate()([{"a": flipped, "b": other_order, "c": np.float32(1)}])
    assert batch["a"].tolist() == [[2, 1, 0]] and batch["b"].tolist() == [[0, 1, 2]]
    assert batch["b"].dtype == torch.int32 and batch["c"].tolist() == [1]


def test_numpy_text_is_text() -> None:
    assert Collate()([{"a": np.str_("one")}, {"a": "two"}]) == {"a": ["one", "two"]}
