import json
import math
from pathlib import Path
from typing import Any

import pytest
import safetensors.torch
import torch
from torch import Tensor, nn

from artschool.errors import CheckpointError
from artschool.storage.checkpoint_files import encode_tensors
from artschool.storage.durable import write_at
from artschool.storage.state_json import decode_state, encode_state


def roundtrip(**tensors: Tensor) -> dict[str, Tensor]:
    return safetensors.torch.load(b"".join(piece for _, piece in encode_tensors("gen.safetensors", tensors).pieces))


def test_tensors_come_back_with_every_bit_and_dtype() -> None:
    given = {
        "nan": torch.tensor([math.nan, -0.0, math.inf, 1e-45]),
        "half": torch.tensor([[1.5], [2.5]], dtype=torch.bfloat16),
        "step": torch.tensor(7),
        "mask": torch.tensor([True, False]),
        "state": torch.arange(5, dtype=torch.uint8),
        "none": torch.zeros(0, 3),
        "double": torch.tensor([0.1], dtype=torch.float64),
        "wave": torch.tensor([1 + 2j]),
    }
    found = roundtrip(**given)
    assert found.keys() == given.keys()
    for name, value in given.items():
        assert found[name].dtype == value.dtype
        assert found[name].shape == value.shape
        assert torch.equal(found[name].flatten().view(torch.uint8), value.flatten().view(torch.uint8))


def test_views_shared_memory_and_parameters_are_saved_as_their_values() -> None:
    base = torch.arange(6.0).reshape(2, 3)
    found = roundtrip(
        whole=base,
        again=base,
        transposed=base.t(),
        row=base[1],
        repeated=torch.tensor([5.0]).expand(3),
        parameter=nn.Parameter(torch.ones(2)),
        conjugated=torch.tensor([1 + 2j]).conj(),
        negative=torch.tensor([1 + 2j]).conj().imag,
    )
    assert found["again"].tolist() == found["whole"].tolist() == [[0, 1, 2], [3, 4, 5]]
    assert found["transposed"].tolist() == [[0, 3], [1, 4], [2, 5]]
    assert found["row"].tolist() == [3, 4, 5]
    assert found["repeated"].tolist() == [5, 5, 5]
    assert found["parameter"].tolist() == [1, 1]
    assert found["conjugated"].tolist() == [1 - 2j]
    assert found["negative"].tolist() == [-2]


def test_a_slice_of_a_large_tensor_takes_only_its_own_space() -> None:
    assert encode_tensors("a", {"x": torch.zeros(10_000)[:2]}).size < 200


def test_the_size_is_known_before_the_pieces_are_made() -> None:
    content = encode_tensors("a", {"x": torch.zeros(3, 2).t(), "y": torch.tensor(1.0), "none": torch.zeros(0)})
    assert content.size == sum(piece.nbytes for _, piece in content.pieces)


def test_an_empty_file_of_tensors_is_allowed() -> None:
    assert roundtrip() == {}


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (3, r"gen: cannot save 'x' \(expected a dense tensor with data, got a value of type int\)$"),
        (
            torch.eye(2).to_sparse(),
            r"gen: cannot save 'x' \(expected a dense tensor with data, got a sparse or meta tensor\)$",
        ),
        (
            torch.zeros(2, device="meta"),
            r"gen: cannot save 'x' \(expected a dense tensor with data, got a sparse or meta tensor\)$",
        ),
        (torch.zeros(2, dtype=torch.complex128), r"gen: cannot save 'x': torch.complex128"),
    ],
)
def test_a_tensor_that_cannot_be_saved_is_named(value: Any, text: str) -> None:
    with pytest.raises(CheckpointError, match=f"^{text}"):
        encode_tensors("gen", {"fine": torch.ones(1), "x": value})


def test_a_name_that_the_format_reserves_is_refused() -> None:
    with pytest.raises(
        CheckpointError, match=r"^gen: a tensor cannot have the name '__metadata__', which the format reserves$"
    ):
        encode_tensors("gen", {"__metadata__": torch.ones(1)})


def test_state_comes_back_as_it_was_with_tuples_as_lists() -> None:
    state = {
        "iteration": 3,
        "best": -math.inf,
        "worst": math.inf,
        "text": ["nan", "Infinity", "ü\ud800"],
        "rate": 0.1,
        "zero": -0.0,
        "big": 2**128,
        "none": None,
        "on": True,
        "nested": {"": [], "a.b": {}},
        "random": (3, (1, 2), None),
    }
    assert decode_state(encode_state(state)) == {**state, "random": [3, [1, 2], None]}
    assert math.copysign(1, decode_state(encode_state(state))["zero"]) == -1
    assert math.isnan(decode_state(encode_state({"loss": [math.nan]}))["loss"][0])


def test_the_file_is_strict_json() -> None:
    def refuse(constant: str) -> None:
        raise AssertionError(constant)

    data = encode_state({"a": math.nan, "b": -math.inf})
    assert json.loads(data, parse_constant=refuse) == {"a": {"$float": "nan"}, "b": {"$float": "-inf"}}


@pytest.mark.parametrize(
    ("state", "text"),
    [
        ({"a": {"b": [1, {2}]}}, r"state\.a\.b\[1\]: cannot save a value of type set"),
        ({"a": torch.ones(1)}, r"state\.a: cannot save a value of type Tensor"),
        ({"a": b""}, r"state\.a: cannot save a value of type bytes"),
        ({"a": {1: 2}}, r"state\.a: cannot save the key 1 \(expected text"),
        ({"$float": "nan"}, r"state: cannot save the key '\$float'"),
    ],
)
def test_state_that_json_cannot_hold_is_named(state: dict[str, Any], text: str) -> None:
    with pytest.raises(CheckpointError, match=f"^{text}"):
        encode_state(state)


def test_a_file_is_written_in_two_turns_between_which_the_first_tensors_change(tmp_path: Path) -> None:
    tensors = {"a": torch.arange(3.0), "b": torch.arange(5), "c": torch.ones(2, 2).t(), "d": torch.tensor(True)}
    whole = b"".join(piece for _, piece in encode_tensors("x", tensors).pieces)
    for first in ({"a", "c"}, {"b"}, {"d"}, {*tensors}, set()):
        file = tmp_path / "-".join(["file", *sorted(first)])
        size, pieces = encode_tensors("x", tensors, left_out=tensors.keys() - first)
        write_at(file, size, pieces)
        assert file.stat().st_size == len(whole)
        changed = {name: value if name not in first else torch.zeros_like(value) for name, value in tensors.items()}
        size, pieces = encode_tensors("x", changed, left_out=first)
        write_at(file, size, pieces, is_new=False)
        assert file.read_bytes() == whole, first


def test_a_tensor_that_was_written_can_be_resized() -> None:
    tensor = torch.arange(3.0)
    list(encode_tensors("x", {"a": tensor}).pieces)
    assert tensor.resize_(4).shape == (4,)
