"""Injectors that compute in float32 in a run of half precision."""

import torch
from torch import Tensor

from artschool.steps.full_precision import in_float32


def product(x: Tensor, others: list[Tensor], *, by: float = 1.0) -> Tensor:
    return x @ others[0] * by


def test_autocast_is_off_and_inputs_in_half_precision_are_widened() -> None:
    x = torch.randn(4, 4, generator=torch.Generator().manual_seed(0))
    with torch.autocast("cpu", dtype=torch.bfloat16):
        rounded = product(x, [x])
        exact = in_float32(product)(x=x, others=[x], by=1.0)
        widened = in_float32(product)(x=x.bfloat16(), others=[x])
        assert torch.is_autocast_enabled("cpu")
    assert rounded.dtype == torch.bfloat16
    assert exact.dtype == widened.dtype == torch.float32
    assert torch.equal(exact, x @ x)
    assert torch.equal(widened, x.bfloat16().float() @ x)


def test_whole_numbers_and_other_values_stay() -> None:
    seen = in_float32(lambda **values: values)(index=torch.tensor(2), name="a", parts={"b": [None, 3]})
    assert seen == {"index": torch.tensor(2), "name": "a", "parts": {"b": [None, 3]}}
