"""Pixel distances."""

import pytest
import torch
from torch import Tensor, tensor

from artschool.components.losses.pixel import l1, l2
from artschool.errors import ConfigError


def test_l1_and_l2_match_sums_done_by_hand() -> None:
    fake, real = tensor([[1.0, 2.0], [0.0, 4.0]]), tensor([[0.0, 2.0], [2.0, 1.0]])
    assert l1(fake, real).item() == 1.5  # (1 + 0 + 2 + 3) / 4
    assert l2(fake, real).item() == 3.5  # (1 + 0 + 4 + 9) / 4


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.uint8])
def test_narrow_types_are_compared_in_float32(dtype: torch.dtype) -> None:
    fake, real = torch.full((3,), 200, dtype=dtype), torch.full((3,), 1, dtype=dtype)
    assert l2(fake, real).dtype == torch.float32
    assert l2(fake, real).item() == 199.0**2
    assert l1(real, fake).item() == 199.0


def test_shapes_that_would_broadcast_are_refused() -> None:
    with pytest.raises(ConfigError, match=r"^l1 compares equal shapes, but fake is \(4, 1\) and real is \(4,\)$"):
        l1(torch.zeros(4, 1), torch.zeros(4))


@pytest.mark.parametrize("loss", [l1, l2])
def test_gradients_match_differences_and_inputs_stay(loss: object) -> None:
    assert callable(loss)
    torch.manual_seed(0)
    fake = torch.randn(3, 4, dtype=torch.float64, requires_grad=True)
    real = torch.randn(3, 4, dtype=torch.float64, requires_grad=True)
    before: list[Tensor] = [fake.detach().clone(), real.detach().clone()]
    assert torch.autograd.gradcheck(loss, (fake, real))
    assert torch.equal(fake, before[0])
    assert torch.equal(real, before[1])


def test_l1_has_the_bits_of_torch() -> None:
    torch.manual_seed(0)
    fake, real = torch.randn(5, 3, 7, requires_grad=True), torch.randn(5, 3, 7)
    ours, theirs = l1(fake, real), torch.nn.functional.l1_loss(fake, real)
    assert torch.equal(ours, theirs)
    assert torch.equal(*(torch.autograd.grad(loss, fake)[0] for loss in (ours, theirs)))
