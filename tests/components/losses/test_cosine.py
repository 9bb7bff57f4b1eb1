"""Angles, the table of distances, and the distance to adjusted images."""

from unittest.mock import Mock

import pytest
import torch
from torch import tensor

from artschool.components.losses.adjusted_pixel import adjusted_pixel
from artschool.components.losses.cosine import cosine
from artschool.components.losses.criteria import CRITERIA, Criterion
from artschool.errors import ConfigError
from artschool.registry.signature import Context


def test_cosine_is_0_along_1_across_and_2_against() -> None:
    fake = tensor([[1.0, 0.0], [1.0, 0.0], [1.0, 0.0]])
    real = tensor([[3.0, 0.0], [0.0, 2.0], [-5.0, 0.0]])
    assert [cosine(fake[i : i + 1], real[i : i + 1]).item() for i in range(3)] == [0.0, 1.0, 2.0]
    assert cosine(fake, real).item() == 1.0


def test_cosine_compares_channels_at_each_place_and_other_dimensions_on_demand() -> None:
    fake = tensor([[[1.0, 0.0], [0.0, 1.0]]])  # (1, 2, 2): channels along dim 1
    real = tensor([[[1.0, 1.0], [0.0, 0.0]]])
    assert cosine(fake, real).item() == 0.5  # equal at the first place, across at the second
    assert cosine(fake.mT, real.mT, dim=-1).item() == 0.5
    assert cosine(fake.bfloat16(), real.bfloat16()).dtype == torch.float32


def test_cosine_refuses_what_would_broadcast() -> None:
    with pytest.raises(ConfigError, match=r"^cosine compares equal shapes, but fake is \(1, 2\) and real is \(3, 2\)$"):
        cosine(torch.zeros(1, 2), torch.zeros(3, 2))


@pytest.mark.parametrize("criterion", CRITERIA)
def test_real_is_scaled_then_moved_before_it_is_compared(criterion: Criterion) -> None:
    fake, real = torch.rand(2, 3, 4), torch.rand(2, 3, 4)
    value = adjusted_pixel(
        fake, real, criterion=criterion, real_scale=2.0, real_offset=-1.0, context=Mock(spec=Context)
    )
    torch.testing.assert_close(value, CRITERIA[criterion](fake, real * 2 - 1))


def test_statistics_are_logged_on_demand_without_gradients() -> None:
    context = Mock(spec=Context)
    fake, real = tensor([1.0, 3.0], requires_grad=True), tensor([2.0, 2.0], requires_grad=True)
    adjusted_pixel(fake, real, context=context)
    context.log.assert_not_called()
    adjusted_pixel(fake, real, real_scale=2.0, log_statistics=True, context=context)
    logged = {call.args[0]: call.args[1] for call in context.log.call_args_list}
    assert not any(value.requires_grad for value in logged.values())
    assert {name: round(value.item(), 4) for name, value in logged.items()} == {
        "fake_mean": 2.0,
        "fake_std": 1.4142,
        "real_mean": 4.0,
        "real_std": 0.0,
    }
