"""Squared error with weights for detail."""

from unittest.mock import Mock

import pytest
import torch
from torch import tensor

from artschool.components.losses.detail_l2 import detail_l2
from artschool.components.losses.pixel import l2
from artschool.errors import ConfigError
from artschool.registry.signature import Context

CONTEXT = Mock(spec=Context)
# One block of 2 x 2 that is flat, and one whose mean is 1 and whose pixels are 1 away from it.
REAL = tensor([[[[0.0, 0.0, 0.0, 2.0], [0.0, 0.0, 2.0, 0.0]]]])


def test_weights_match_those_done_by_hand() -> None:
    fake = REAL.clone()
    fake[..., 0, 0] += 1  # in the flat block: weight 0.5^2
    fake[..., 0, 3] += 2  # in the other: weight 1.5^2
    # The weights are 0.25 four times and 2.25 four times: 1.25 on average.
    expected = (0.25 * 1 + 2.25 * 4) / 1.25 / 8
    value = detail_l2(fake, REAL, scale=2, base=0.5, power=2.0, context=CONTEXT)
    torch.testing.assert_close(value, tensor(expected))


def test_a_power_of_0_gives_l2_which_is_logged_as_well() -> None:
    context = Mock(spec=Context)
    fake = torch.rand(2, 3, 4, 6, requires_grad=True)
    real = torch.rand(2, 3, 4, 6)
    value = detail_l2(fake, real, scale=2, power=0.0, context=context)
    torch.testing.assert_close(value, l2(fake, real))
    name, logged = context.log.call_args.args
    assert name == "l2_loss" and not logged.requires_grad
    torch.testing.assert_close(logged, value.detach())


def test_errors_in_detail_count_more_and_flat_images_weigh_evenly() -> None:
    flat, detail = REAL.clone(), REAL.clone()
    flat[..., 1, 1] += 1
    detail[..., 1, 2] += 1
    assert detail_l2(detail, REAL, scale=2, context=CONTEXT) > 10 * detail_l2(flat, REAL, scale=2, context=CONTEXT)
    zeros = torch.zeros(1, 1, 4, 4)
    assert detail_l2(zeros + 1, zeros, scale=2, context=CONTEXT).item() == 1.0
    assert detail_l2(zeros + 1, zeros, scale=2, base=0.0, context=CONTEXT).item() == 0.0  # nothing counts


def test_a_size_that_no_blocks_fill_is_refused() -> None:
    odd = torch.zeros(1, 1, 4, 6)
    with pytest.raises(ConfigError, match=r"^detail_l2 takes images of a multiple of 4 pixels, not \(4, 6\)$"):
        detail_l2(odd, odd, scale=4, context=CONTEXT)


def test_the_weights_are_no_way_for_real_to_learn() -> None:
    torch.manual_seed(0)
    fake, real = torch.rand(1, 2, 4, 4, requires_grad=True), torch.rand(1, 2, 4, 4, requires_grad=True)
    gradients = torch.autograd.grad(detail_l2(fake, real, scale=2, context=CONTEXT), [fake, real])
    torch.testing.assert_close(gradients[0], -gradients[1])
